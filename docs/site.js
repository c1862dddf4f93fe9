// Tables that scroll sideways can be reached by keyboard.
const reach = () => document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])").forEach(table => { table.tabIndex = 0; });
new MutationObserver(reach).observe(document.body, { childList: true, subtree: true });
reach();
