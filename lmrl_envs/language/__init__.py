"""Reading English, once for the tasks in which people talk: `text` to clean letters, `words` (base forms, slips), `numbers`; `lists` reads word lists."""
