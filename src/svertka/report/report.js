"use strict";
(() => {
  const root = document.documentElement;

  // Theme: the system's, until the reader chooses the other.
  const button = document.getElementById("theme");
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.style.colorScheme || (systemDark.matches ? "dark" : "light")) === "dark";
  const label = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => {
    root.style.colorScheme = isDark() ? "light" : "dark";
    label();
  });
  systemDark.addEventListener("change", label);
  label();
  button.hidden = false;

  // Tables: a click on a column's name sorts by it, a second one the other way. What is missing stays last.
  const collator = new Intl.Collator("en", { numeric: true });
  const sort = (table, column, descending) => {
    const body = table.tBodies[0];
    const sign = descending ? -1 : 1;
    const keyed = [...body.rows].map((row) => {
      const cell = row.cells[column];
      const key = "key" in cell.dataset ? cell.dataset.key : cell.textContent;
      return { row, key, number: "key" in cell.dataset ? Number(key) : null };
    });
    keyed.sort((a, b) => {
      if (a.key === "" || b.key === "") return (a.key === "") - (b.key === "");
      if (a.number !== null && b.number !== null) return sign * Math.sign(a.number - b.number || 0);
      return sign * collator.compare(a.key, b.key);
    });
    body.append(...keyed.map((entry) => entry.row));
  };
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const control = document.createElement("button");
      control.type = "button";
      control.append(...head.childNodes);
      head.append(control);
      control.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const largestFirst = head.classList.contains("number");
        const descending = before ? before === "ascending" : largestFirst;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, column, descending);
      });
    });
  }

  // Matrices: the cell under the pointer or finger in words, and its names pointed out.
  for (const matrix of document.querySelectorAll("[data-matrix]")) {
    const detail = matrix.querySelector(".detail");
    let lit = [];
    const read = (event) => {
      const cell = event.target.closest("td, path");
      const text = cell && (cell.querySelector("title")?.textContent ?? cell.title);
      if (!text) return;
      detail.textContent = text;
      lit.forEach((head) => head.classList.remove("lit"));
      const columns = matrix.querySelector("thead tr:last-child");
      lit = cell.matches("td") ? [cell.parentNode.cells[0], columns.cells[cell.cellIndex - 1]] : [];
      lit.forEach((head) => head.classList.add("lit"));
    };
    matrix.addEventListener("pointerover", read);
    matrix.addEventListener("click", read);
    detail.textContent = "Hover or tap a cell to read it.";
    detail.hidden = false;
  }

  // What is wider than its box says so, for a finger sees no scroll bar.
  for (const box of document.querySelectorAll(".scroll")) {
    const hint = document.createElement("p");
    hint.className = "hint";
    hint.textContent = "Scroll sideways to see all of it \u2192";
    const look = () => { hint.hidden = box.scrollWidth <= box.clientWidth + 1; };
    look();
    box.before(hint);
    new ResizeObserver(look).observe(box);
  }

  // Choices: a tab for each heading, of which one is open. Arrows, Home and End go from tab to tab.
  let tabs = 0;
  for (const choice of document.querySelectorAll("[data-choice]")) {
    const options = [...choice.children];
    const bar = document.createElement("div");
    bar.className = "tabs";
    bar.setAttribute("role", "tablist");
    bar.setAttribute("aria-label", choice.dataset.choice);
    const open = (number, focus) => {
      options.forEach((option, other) => {
        option.classList.toggle("open", other === number);
        bar.children[other].setAttribute("aria-selected", other === number);
        bar.children[other].tabIndex = other === number ? 0 : -1;
      });
      if (focus) bar.children[number].focus();
    };
    options.forEach((option, number) => {
      const tab = document.createElement("button");
      tab.type = "button";
      tab.id = `tab${++tabs}`;
      tab.setAttribute("role", "tab");
      tab.append(...[...option.querySelector("h4").childNodes].map((node) => node.cloneNode(true)));
      tab.addEventListener("click", () => open(number, false));
      option.setAttribute("role", "tabpanel");
      option.setAttribute("aria-labelledby", tab.id);
      bar.append(tab);
    });
    bar.addEventListener("keydown", (event) => {
      const now = options.findIndex((option) => option.classList.contains("open"));
      const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: options.length - 1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      open((next + options.length) % options.length, true);
    });
    choice.prepend(bar);
    choice.classList.add("live");
    open(0, false);
  }

  // On paper nothing can be opened.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll(".folded > details:not([open])")];
    closed.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => {
    closed.forEach((details) => { details.open = false; });
  });
})();
