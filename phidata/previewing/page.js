"use strict";
// Whatever comes from the data goes into the page as text nodes; no string is ever parsed as HTML.

const $ = (id) => document.getElementById(id);
const about = take("about");
const blocks = Array.from({ length: about.blocks }, (_, number) => take(`rows-${number}`));
const rows = blocks.flat().map((row, number) => Object.assign(row, { number }));

function take(id) {
  const node = $(id);
  node.remove();
  return JSON.parse(node.textContent);
}

const parsed = new Map(); // the pictures of some blocks, the latest used last

function pictures(kind, row) {
  const id = `${kind}-${Math.floor(row.number / about.block_rows)}`;
  const found = parsed.get(id) ?? JSON.parse($(id)?.textContent ?? "[]");
  parsed.delete(id);
  parsed.set(id, found);
  if (parsed.size > 12) parsed.delete(parsed.keys().next().value);
  return found;
}

const jpeg = (base64) => `data:image/jpeg;base64,${base64}`;
const turnsOf = (row) => row.turns ?? [];
const findingsOf = (row) => row.findings ?? [];
const imagesOf = (row) => turnsOf(row).flatMap((turn) => turn.images ?? []);
const thumb = (row, image) => jpeg(pictures("thumbs", row)[image.picture]);
const nameOf = (row) => row.id ?? row.place;
const count = (number) => number.toLocaleString("en");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
const sizeOf = (image) => (image.problem ? "unreadable" : `${image.width}×${image.height}`);

function large(row, image) {
  const carried = pictures("large", row)[image.picture];
  if (carried) return jpeg(carried);
  return about.images === null ? null : about.images + image.path.split("/").map(encodeURIComponent).join("/");
}

// Characters that are not seen, or that turn the text around them.
const UNSEEN = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

function el(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function button(label, title, act) {
  const node = Object.assign(el("button", "", label), { type: "button", title, ariaLabel: title });
  node.addEventListener("click", act);
  return node;
}

function data(tag, className, string) {
  const node = el(tag, className);
  node.dir = "auto";
  let end = 0;
  for (const match of string.matchAll(UNSEEN)) {
    const code = match[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    node.append(string.slice(end, match.index), el("span", "unseen", `U+${code}`));
    end = match.index + 1;
  }
  node.append(string.slice(end));
  return node;
}

function picture(row, image, number, address = null) {
  if (image.problem) return data("span", "missing", image.problem);
  const node = el("img");
  const { width, height } = image;
  Object.assign(node, { width, height, decoding: "async", alt: `image ${number + 1}: ${image.path}` });
  node.addEventListener("error", () => (node.src = thumb(row, image)), { once: true });
  node.src = address ?? thumb(row, image);
  return node;
}

const FACETS = {
  split: { title: "Split", of: (row) => [row.split], given: true },
  source: { title: "Source", of: (row) => [row.source ?? "(unreadable)"] },
  code: { title: "Findings", of: (row) => findingsOf(row).map((found) => found.code), none: "none" },
  images: { title: "Images in a row", of: (row) => [imagesOf(row).length], numeric: true },
  turns: { title: "Turns in a row", of: (row) => [turnsOf(row).length], numeric: true },
  answer: { title: "Answers", of: (row) => turnsOf(row).map((turn) => turn.assistant) },
  size: { title: "Image sizes", of: (row) => imagesOf(row).map(sizeOf), none: "no image" },
  tokens: { title: about.exact_tokens ? "Tokens in a row" : "Tokens in a row, estimated", of: (row) => (row.tokens ? [row.tokens] : []), numeric: true, none: "unknown" },
};
const NAMES = Object.keys(FACETS);
const MENUS = ["split", "source", "code", "images"];
const picked = {}; // facet → value
let [terms, shown, at] = [[], rows, 0]; // words searched for; rows that pass; the current row, by its place in them

function niceWidth(least) {
  for (let power = 1; ; power *= 10) for (const step of [1, 2, 5]) if (step * power >= least) return step * power;
}

// How numbers are named in a chart: each by itself where there are few, else by ranges of one width.
function ranges(numbers) {
  const least = numbers.reduce((a, b) => Math.min(a, b), Infinity);
  const most = numbers.reduce((a, b) => Math.max(a, b), -Infinity);
  const width = new Set(numbers).size <= 16 ? 1 : niceWidth((most - least + 1) / 10);
  return (number) => {
    const from = number - (number % width);
    return width === 1 ? count(from) : `${count(from)} – ${count(from + width - 1)}`;
  };
}

function sortFacets() {
  for (const facet of Object.values(FACETS)) {
    facet.values = rows.map((row) => [...new Set(facet.of(row))]);
    if (facet.numeric) {
      const label = ranges(facet.values.flat());
      facet.values = facet.values.map((values) => values.map(label));
    }
    const totals = new Map();
    if (facet.none) facet.values.forEach((values) => values.length || values.push(facet.none));
    facet.values.flat().forEach((value) => totals.set(value, (totals.get(value) ?? 0) + 1));
    const first = (label) => (label === facet.none ? Infinity : parseInt(label.replaceAll(",", "")));
    const byNumber = (a, b) => first(a) - first(b);
    const byTotal = (a, b) => totals.get(b) - totals.get(a) || (a < b ? -1 : 1);
    facet.labels = [...totals.keys()];
    if (!facet.given) facet.labels.sort(facet.numeric ? byNumber : byTotal);
  }
}

function haystack(row) {
  row.haystack ??= [
    row.id, row.source, row.split, row.place, row.metadata, row.broken,
    ...turnsOf(row).flatMap((turn) => [turn.user, turn.assistant, ...(turn.answers ?? []), ...(turn.images ?? []).map((image) => image.path)]),
    ...findingsOf(row).flatMap((found) => [found.code, found.message]),
  ].join("\n").toLowerCase();
  return row.haystack;
}

function filter() {
  const names = Object.keys(picked);
  const counts = Object.fromEntries(NAMES.map((name) => [name, new Map()]));
  shown = rows.filter((row) => {
    if (!terms.every((term) => haystack(row).includes(term))) return false;
    const failed = names.filter((name) => !FACETS[name].values[row.number].includes(picked[name]));
    // A chart counts what its other values would show: the rows that pass every filter but its own.
    for (const name of failed.length > 1 ? [] : failed.length ? failed : NAMES) {
      for (const value of FACETS[name].values[row.number]) counts[name].set(value, (counts[name].get(value) ?? 0) + 1);
    }
    return failed.length === 0;
  });
  at = 0;
  drawCharts(counts);
  drawMenus(counts);
  $("count").textContent = shown.length === rows.length ? plural(rows.length, "row") : `${count(shown.length)} of ${plural(rows.length, "row")}`;
  $("clear").hidden = !terms.length && !names.length;
  $("nothing").hidden = shown.length > 0;
  drawList({ anew: true });
}

function pick(name, value) {
  if (value === undefined || picked[name] === value) delete picked[name];
  else picked[name] = value;
  filter();
}

function drawCharts(counts) {
  $("charts").replaceChildren(
    ...NAMES.map((name) => {
      const facet = FACETS[name];
      const limit = facet.numeric ? 16 : 8;
      const labels = facet.labels.filter((label, place) => place < limit || label === picked[name]);
      const most = Math.max(1, ...labels.map((label) => counts[name].get(label) ?? 0));
      const chart = el("section", "chart", el("h2", "", facet.title), ...labels.map((label) => bar(name, label, counts[name].get(label) ?? 0, most)));
      if (facet.labels.length > labels.length) chart.append(el("p", "more", `${count(facet.labels.length - labels.length)} more values`));
      return chart;
    }),
  );
}

function bar(name, label, number, most) {
  const fill = el("span", "fill");
  fill.style.width = `${(100 * number) / most}%`;
  fill.hidden = number === 0;
  const node = el("button", "bar", data("span", "label", label), el("span", "", fill), el("span", "number", count(number)));
  const title = about.titles[label] ? `${label}: ${about.titles[label]}` : label;
  Object.assign(node, { type: "button", title, ariaPressed: String(picked[name] === label) });
  node.dataset.key = `${name} ${label}`;
  node.addEventListener("click", () => {
    pick(name, label);
    [...document.querySelectorAll(".bar")].find((other) => other.dataset.key === node.dataset.key)?.focus();
  });
  return node;
}

function drawMenus(counts) {
  for (const name of MENUS) {
    const facet = FACETS[name];
    const options = facet.labels.map((label) => new Option(`${label} (${count(counts[name].get(label) ?? 0)})`, label));
    $(`pick-${name}`).replaceChildren(new Option("all", ""), ...options);
    $(`pick-${name}`).selectedIndex = 1 + facet.labels.indexOf(picked[name]);
  }
}

const cards = new Map(); // place in `shown` → element; only the cards near the window are in the document
const cardHeight = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--card-height"));

function drawList({ anew = false } = {}) {
  const list = $("list");
  const height = cardHeight();
  if (anew) {
    for (const card of cards.values()) card.remove();
    cards.clear();
    list.style.height = `${shown.length * height}px`;
  }
  const top = list.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(-top / height) - 4);
  const last = Math.min(shown.length, Math.ceil((innerHeight - top) / height) + 4);
  for (const [place, card] of cards) {
    if ((place < first || place >= last) && card !== document.activeElement) {
      card.remove();
      cards.delete(place);
    }
  }
  for (let place = first; place < last; place++) {
    if (cards.has(place)) continue;
    const card = drawCard(shown[place], place);
    card.style.top = `${place * height}px`;
    card.dataset.place = place;
    list.insertBefore(card, [...list.children].find((other) => other.dataset.place > place) ?? null);
    cards.set(place, card);
  }
}

function drawCard(row, place) {
  const images = imagesOf(row);
  const card = el("article", "card", drawMeta(row));
  const label = `row ${nameOf(row)}, ${plural(images.length, "image")}, ${plural(findingsOf(row).length, "finding")}`;
  Object.assign(card, { role: "listitem", ariaLabel: label, ariaPosInSet: place + 1, ariaSetSize: shown.length, tabIndex: place === at ? 0 : -1 });
  if (images.length) card.append(el("div", "strip", ...images.slice(0, 24).map((image, number) => picture(row, image, number))));
  card.append(drawWords(row, images.length > 0));
  card.addEventListener("click", () => openRow(place));
  card.addEventListener("focus", () => setCurrent(place));
  return card;
}

function drawMeta(row) {
  const codes = [...new Map(findingsOf(row).map((found) => [found.code, found])).values()];
  const images = imagesOf(row).length;
  const names = el(
    "span", "names", data("span", "id", nameOf(row)), data("span", "tag split", row.split),
    row.source ? data("span", "tag source", row.source) : null, row.id === undefined ? null : drawPlace(row.place),
  );
  const badges = el(
    "span", "badges",
    ...codes.slice(0, 4).map((found) => el("span", `tag ${found.severity}`, found.code)),
    codes.length > 4 ? el("span", "", `+${codes.length - 4}`) : null,
    turnsOf(row).length > 1 ? el("span", "", plural(turnsOf(row).length, "turn")) : null,
    images ? el("span", "", plural(images, "image")) : null,
    row.tokens ? el("span", "tokens", plural(row.tokens, "token")) : null,
  );
  return el("div", "meta", names, badges);
}

// Of a long file name the end is cut, not the number of the line behind it.
function drawPlace(place) {
  const end = place.lastIndexOf(":");
  return el("span", "place", data("span", "file", place.slice(0, end)), data("span", "", place.slice(end)));
}

function drawWords(row, hasImages) {
  const clamp = hasImages ? "one-line" : "many-lines";
  const words = el("div", "words");
  if (row.broken) words.append(data("p", "many-lines error", row.broken));
  for (const found of findingsOf(row).slice(0, hasImages ? 1 : 2)) {
    words.append(data("p", `one-line finding-line ${found.severity}`, `${found.code} ${found.message}`));
  }
  const [turn] = turnsOf(row);
  if (turn && (!hasImages || !findingsOf(row).length)) words.append(data("p", clamp, turn.user));
  if (turn) words.append(data("p", "one-line answer", turn.assistant));
  return words;
}

function setCurrent(place) {
  if (cards.has(at)) cards.get(at).tabIndex = -1;
  at = place;
  if (cards.has(at)) cards.get(at).tabIndex = 0;
}

function goTo(place) {
  if (!shown.length) return;
  setCurrent(Math.max(0, Math.min(shown.length - 1, place)));
  const height = cardHeight();
  const start = $("list").getBoundingClientRect().top + scrollY + at * height;
  const bar = getComputedStyle($("filters")).position === "sticky" ? $("filters").offsetHeight + 8 : 8;
  if (start - bar < scrollY) scrollTo(0, start - bar);
  else if (start + height > scrollY + innerHeight) scrollTo(0, start + height - innerHeight);
  drawList();
  cards.get(at).focus({ preventScroll: true });
}

function openRow(place) {
  goTo(place);
  const row = shown[at];
  const title = data("h2", "", nameOf(row));
  title.id = "detail-title";
  const previous = button("‹", "Previous row (k)", () => openRow(at - 1));
  const next = button("›", "Next row (j)", () => openRow(at + 1));
  previous.disabled = at === 0;
  next.disabled = at === shown.length - 1;
  const close = button("✕", "Close (Esc)", () => $("detail").close());
  const where = el("span", "meta", `${count(at + 1)} of ${count(shown.length)}`);
  const columns = drawColumns(row);
  $("detail").replaceChildren(el("div", "bar-top", title, el("span", "push", where, previous, next, close)), columns);
  if (!$("detail").open) $("detail").showModal();
  columns.firstChild.focus({ preventScroll: true });
}

function drawColumns(row) {
  let number = 0; // images are numbered through the whole conversation
  const turns = turnsOf(row).map((turn, place) => {
    const frames = (turn.images ?? []).map((image) => drawFrame(row, image, number++));
    const answers = (turn.answers ?? []).filter((answer) => answer !== turn.assistant);
    return el(
      "div", "turn",
      el("div", "say user", el("span", "who", turnsOf(row).length > 1 ? `user, turn ${place + 1}` : "user"), frames.length ? el("div", "frames", ...frames) : null, data("div", "text", turn.user)),
      el("div", "say assistant", el("span", "who", "assistant"), data("div", "text", turn.assistant)),
      answers.length ? el("p", "meta", "also accepted:", ...answers.map((answer) => data("span", "tag", answer))) : null,
    );
  });
  const chat = Object.assign(el("div", "chat", ...turns), { tabIndex: 0 });
  const metadata = row.metadata ? el("section", "", el("h3", "", "Metadata"), data("pre", "", row.metadata)) : null;
  if (row.broken) chat.prepend(el("div", "say error", el("span", "who", "this row can not be read"), data("div", "text", row.broken)));
  return el("div", "columns", chat, el("aside", "beside", drawFindings(row), drawFacts(row), metadata));
}

function drawFrame(row, image, number) {
  if (image.problem) return picture(row, image, number);
  const node = button(picture(row, image, number, large(row, image)), `Image ${number + 1}, ${sizeOf(image)}, larger`, () => openImage(row, number));
  node.append(el("span", "caption", `${number + 1}`));
  return node;
}

function drawFindings(row) {
  const findings = findingsOf(row).map((found) => {
    const [before, marked, behind] = found.marked;
    const excerpt = el("pre", "", data("span", "", before), data("mark", "", marked), data("span", "", behind));
    const pointer = found.pointer ? data("code", "help", found.pointer) : null;
    return el("div", `finding ${found.severity}`, el("strong", "", `${found.code} ${found.severity}`), data("p", "note", found.message), data("p", "help", found.help), excerpt, pointer);
  });
  return el("section", "", el("h3", "", "Findings"), ...(findings.length ? findings : [el("p", "", "none")]));
}

function drawFacts(row) {
  const tokens = row.tokens ? `${about.exact_tokens ? "" : "about "}${count(row.tokens)}` : "unknown";
  const facts = { place: row.place, split: row.split, source: row.source, turns: count(turnsOf(row).length), images: count(imagesOf(row).length), tokens };
  const lines = Object.entries(facts).filter(([, value]) => value);
  return el("section", "", el("h3", "", "Row"), el("dl", "", ...lines.flatMap(([name, value]) => [el("dt", "", name), data("dd", "", value)])));
}

function openImage(row, number) {
  const images = imagesOf(row);
  const image = images[number];
  const step = (by, other = number + by) => {
    while (images[other]?.problem) other += by;
    return images[other] ? () => openImage(row, other) : null;
  };
  const facts = `${number + 1} of ${images.length} · ${sizeOf(image)} · ${count(image.bytes)} bytes`;
  const note = el("span");
  const node = Object.assign(el("img"), { alt: image.path });
  const fallBack = (why) => {
    node.onerror = null;
    node.src = thumb(row, image);
    note.textContent = ` · ${why}`;
  };
  const address = large(row, image);
  node.onerror = () => fallBack("the file is not where it was; this is the thumbnail");
  if (address === null) fallBack("this is the thumbnail; the page carries nothing larger");
  else node.src = address;
  const back = button("‹", "Previous image (←)", step(-1));
  const forth = button("›", "Next image (→)", step(1));
  back.disabled = !step(-1);
  forth.disabled = !step(1);
  const close = button("✕", "Close (Esc)", () => $("viewer").close());
  const figure = el("figure", "", node, el("figcaption", "", data("bdi", "", image.path), el("br"), facts, note), el("div", "push", back, close, forth));
  $("viewer").replaceChildren(figure);
  $("viewer").step = step;
  if (!$("viewer").open) $("viewer").showModal();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key;
  let act = null;
  if ($("viewer").open) {
    act = { ArrowLeft: $("viewer").step(-1), ArrowRight: $("viewer").step(1) }[key];
  } else if ($("detail").open) {
    act = { j: () => openRow(at + 1), k: () => openRow(at - 1), ArrowRight: () => openRow(at + 1), ArrowLeft: () => openRow(at - 1) }[key];
  } else if (event.target === $("search")) {
    act = { Escape: () => goTo(at), Enter: () => goTo(0), ArrowDown: () => goTo(0) }[key];
  } else if (event.target.tagName !== "SELECT") {
    const onCard = event.target.classList.contains("card");
    const move = (by) => goTo(onCard ? at + by : at);
    act = { j: () => move(1), k: () => move(-1), "/": () => $("search").select() }[key];
    if (onCard) {
      act ??= {
        ArrowDown: () => move(1), ArrowUp: () => move(-1), PageDown: () => move(5), PageUp: () => move(-5),
        Home: () => goTo(0), End: () => goTo(shown.length - 1), Enter: () => openRow(at), " ": () => openRow(at),
      }[key];
    }
  }
  if (act) {
    event.preventDefault();
    act();
  }
}

function printRows() {
  const printed = ($("detail").open ? [shown[at]] : shown).slice(0, 200);
  const left = ($("detail").open ? 1 : shown.length) - printed.length;
  $("print").replaceChildren(
    ...printed.map((row) => el("div", "printed", drawMeta(row), drawColumns(row))),
    ...(left ? [el("p", "", `${plural(left, "more row")} not printed.`)] : []),
  );
}

function start() {
  const images = rows.reduce((sum, row) => sum + imagesOf(row).length, 0);
  document.title = `${about.name} · phidata preview`;
  $("name").append(data("bdi", "", about.name));
  $("facts").append([plural(rows.length, "row"), plural(images, "image"), about.shape].join(" · "));
  if (about.only.length) $("facts").append(` · only ${about.only.join(", ")}`);
  if (about.rows < about.candidates) $("facts").append(" · ", el("strong", "", `a sample of ${plural(about.candidates, "row")}, seed ${about.seed}`));
  sortFacets();
  filter();

  let waiting = 0;
  $("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      terms = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
      filter();
    }, 80);
  });
  for (const name of MENUS) {
    $(`pick-${name}`).addEventListener("change", (event) => pick(name, event.target.selectedIndex ? event.target.value : undefined));
  }
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("reset", () => {
    terms = [];
    for (const name of Object.keys(picked)) delete picked[name];
    filter();
    $("search").focus();
  });
  $("theme").addEventListener("click", () => {
    const { style } = document.documentElement;
    const dark = style.colorScheme ? style.colorScheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    style.colorScheme = dark ? "light" : "dark";
  });
  for (const dialog of [$("detail"), $("viewer")]) {
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }
  $("detail").addEventListener("close", () => goTo(at));
  $("overview").addEventListener("toggle", () => drawList());
  document.addEventListener("keydown", onKey);
  addEventListener("scroll", () => requestAnimationFrame(() => drawList()), { passive: true });
  addEventListener("resize", () => drawList({ anew: true }));
  addEventListener("beforeprint", printRows);
  addEventListener("afterprint", () => $("print").replaceChildren());
}

start();
