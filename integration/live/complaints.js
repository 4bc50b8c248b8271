// What is wrong with how the page looks: a list of sentences.
(() => {
  const found = [];
  const name = (e) => `<${e.tagName.toLowerCase()}${e.id ? " id=" + e.id : ""}> "${e.textContent.trim().replace(/\s+/g, " ").slice(0, 40)}"`;
  const root = document.documentElement;
  const visible = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".hidden, [hidden], title") && getComputedStyle(e.closest("thead") ?? e).clipPath === "none";
  const all = [...document.body.querySelectorAll("*")].filter((e) => !e.closest("svg") && visible(e));

  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} px wide in a window of ${root.clientWidth} px`);
  for (const e of all) {
    const box = e.getBoundingClientRect();
    if (box.width && (box.right > root.clientWidth + 0.5 || box.left < -0.5)) found.push(`${name(e)} is out of the window: ${box.left} to ${box.right}`);
    if (e.tagName !== "METER" && getComputedStyle(e).overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1) found.push(`${name(e)} is cut: ${e.scrollWidth} px in ${e.clientWidth} px`);
  }

  // Contrast by WCAG 2: 4.5 to 1, for text of any size.
  const rgba = (text) => { const n = text.match(/[\d.]+/g).map(Number); return n.length === 3 ? [...n, 1] : n; };
  const light = ([r, g, b]) => [r, g, b].map((c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; })
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; }
    return null;
  };
  let texts = 0;
  for (const e of all) {
    if (![...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim())) continue;
    if (e.tagName === "METER") continue;
    texts++;
    const on = ground(e);
    if (!on) { found.push(`${name(e)} has no ground`); continue; }
    const [a, b] = [light(rgba(getComputedStyle(e).color)), light(on)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.push(`${name(e)} has a contrast of ${contrast.toFixed(2)}`);
    if (parseFloat(getComputedStyle(e).fontSize) < 12) found.push(`${name(e)} is smaller than 12 px`);
  }
  if (texts < 40) found.push(`only ${texts} texts: is this the page?`);

  // What those who do not see it need.
  if (!root.lang) found.push("the page has no language");
  for (const t of document.querySelectorAll("table")) {
    if (!t.caption) found.push(`${name(t)} has no caption`);
    const heads = [...t.querySelectorAll("thead th")];
    if (!heads.length || heads.some((h) => h.scope !== "col")) found.push(`${name(t)} has no headers`);
    for (const row of t.querySelectorAll("tbody tr")) {
      if (row.cells[0].scope !== "row") found.push(`${name(row)} has no header`);
      [...row.cells].forEach((cell, i) => {
        if (cell.dataset.label !== heads[i]?.textContent) found.push(`${name(cell)} is labelled ${cell.dataset.label} below ${heads[i]?.textContent}`);
      });
    }
  }
  for (const e of document.querySelectorAll("svg:not([aria-hidden]), meter")) {
    if (!e.getAttribute("aria-label")) found.push(`${name(e)} says nothing to those who do not see it`);
  }
  for (const e of document.querySelectorAll("img:not([alt])")) found.push(`${name(e)} has no alt`);
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of ids.filter((id, i) => ids.indexOf(id) !== i)) found.push(`the id ${id} is there twice`);
  for (const e of document.querySelectorAll("[aria-labelledby]")) {
    if (!document.getElementById(e.getAttribute("aria-labelledby"))) found.push(`${name(e)} has the label of nobody`);
  }
  let level = 0;
  for (const h of document.querySelectorAll("h1, h2, h3, h4")) {
    const next = Number(h.tagName[1]);
    if (next > level + 1) found.push(`${name(h)} skips a level`);
    level = next;
  }
  return found;
})()
