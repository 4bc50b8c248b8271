// Asks for the page again and puts in what has changed. Without this script the browser reloads the page (see <noscript>).
"use strict";
(() => {
  const every = 1000 * Number(document.documentElement.dataset.refresh);
  const stale = document.getElementById("stale");
  let answered = new Date();

  const put = (part, next) => {
    if (part.className !== next.className) part.className = next.className;
    if (part.innerHTML === next.innerHTML) return;
    // What is open stays open, and the focus where it is.
    for (const open of part.querySelectorAll("details[open]")) {
      const same = next.querySelector("#" + CSS.escape(open.id));
      if (same) same.open = true;
    }
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    part.replaceChildren(...next.childNodes);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };

  const update = async () => {
    // Text that is being selected, and a page that nobody sees, are left alone.
    if (!document.hidden && getSelection().isCollapsed) {
      try {
        const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(10000) });
        if (!answer.ok) throw new Error(String(answer.status));
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of document.querySelectorAll("[data-live]")) {
          const next = page.getElementById(part.id);
          if (next) put(part, next);
        }
        document.title = page.title;
        answered = new Date();
        stale.hidden = true;
      } catch {
        stale.textContent = "This process has not answered since " + answered.toLocaleTimeString() + ". What is below is from then.";
        stale.hidden = false;
      }
    }
    setTimeout(update, every);
  };
  setTimeout(update, every);
})();
