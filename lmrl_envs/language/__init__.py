"""Reading English, once for the tasks in which people talk: `text` to clean letters, `words` (base forms, slips), `numbers`; `phrases` with gaps;
`prices` and `bargaining` for talk of money; `lists` reads word lists."""
