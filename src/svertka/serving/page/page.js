// The page: an image goes to the server, and what models say of it is shown. All text is set as text, never as markup.

const MOST_IMAGES = 60; // that are kept in the tab
const FIRST_BARS = 5;
const MOST_BARS = 200;
const TRIES = 4;

const $ = (id) => document.getElementById(id);
const root = document.documentElement;
let models = [];
let limits = {};
let token = "";
let images = []; // {name, file, url, shown, answers, row}
let current = null;

// Theme: the system's, until the reader chooses the other.
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.style.colorScheme || (systemDark.matches ? "dark" : "light")) === "dark";
const label = () => { $("theme").textContent = isDark() ? "Light" : "Dark"; };
$("theme").addEventListener("click", () => {
  root.style.colorScheme = isDark() ? "light" : "dark";
  label();
});
systemDark.addEventListener("change", label);
label();

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", wrong);
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function isolated(text) {
  return element("bdi", "", text);
}

// The server.
class Refused extends Error {
  constructor(status, error, retry) {
    super([error.where, error.what].filter(Boolean).join(": ") + (error.mend ? `; ${error.mend}` : ""));
    this.status = status;
    this.what = error.what;
    this.retry = retry;
  }
}

const pause = (seconds) => new Promise((done) => { setTimeout(done, 1000 * seconds); });

async function ask(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch {
    throw new Refused(0, { what: "the server does not answer", mend: "is it still running?" });
  }
  let document_ = null;
  try {
    document_ = await response.json();
  } catch { /* said below */ }
  if (response.ok && document_) return document_;
  const error = document_?.error ?? { what: `the server answers ${response.status}` };
  throw new Refused(response.status, error, Number(response.headers.get("Retry-After")) || 0);
}

async function send(path, query, file) {
  const form = new FormData();
  form.append("image", file, "image"); // what it is called is nobody's business
  for (let left = TRIES; ; left--) {
    try {
      return await ask(`${path}?${new URLSearchParams(query)}`, { method: "POST", body: form });
    } catch (error) {
      if (error.status !== 503 || !error.retry || left <= 1) throw error;
      say(`The server is busy; again in ${error.retry} s.`);
      await pause(error.retry);
    }
  }
}

// Models.
async function whenLoaded() {
  for (;;) {
    try {
      return await ask("v1/models");
    } catch (error) {
      if (error.status !== 503 || !error.retry) throw error;
      say(error.what);
      await pause(error.retry);
    }
  }
}

async function begin() {
  try {
    say("Loading …");
    ({ models, limits } = await whenLoaded());
  } catch (error) {
    if (error.status === 401) {
      $("unlock").hidden = false;
      $("ask").hidden = true;
      say(token ? "That token is another one." : "", Boolean(token));
      $("token").focus();
      return;
    }
    say(error.message, true);
    return;
  }
  $("unlock").hidden = true;
  $("ask").hidden = false;
  say("");
  const option = (model) => {
    const made = element("option", "", model.name);
    made.value = model.name;
    return made;
  };
  $("model").replaceChildren(...models.map(option));
  const none = element("option", "", "none");
  none.value = "";
  $("other").replaceChildren(none, ...models.map(option));
  $("comparing").hidden = models.length < 2;
  showCards();
}

let begun = begin();

function chosen() {
  const names = [$("model").value, $("other").value].filter(Boolean);
  return [...new Set(names)].map((name) => models.find((model) => model.name === name)).filter(Boolean);
}

const percent = (share) => `${(100 * share).toFixed(1)}%`;

function facts(items) {
  const list = element("dl", "facts");
  for (const [name, value] of items) {
    const row = element("div");
    const shown = element("dd");
    shown.append(typeof value === "string" ? isolated(value) : value);
    row.append(element("dt", "", name), shown);
    list.append(row);
  }
  return list;
}

function folded(summary, value) {
  const made = element("details");
  made.append(element("summary", "", summary), element("pre", "", JSON.stringify(value, null, 1)));
  return made;
}

function metricsOf(model) {
  const told = [];
  for (const [part, values] of Object.entries(model.metrics)) {
    const entries = Object.entries(values ?? {}).filter(([, value]) => typeof value === "number");
    if (entries.length) {
      told.push(`${part}: ${entries.map(([name, value]) => `${name.replaceAll("_", " ")} ${value.toFixed(4)}`).join(", ")}`);
    }
  }
  return told.join("; ");
}

function card(model) {
  const made = element("article", "card");
  const heading = element("h3");
  heading.append(isolated(model.name));
  const { preprocess: input, golden } = model;
  const proof = golden.inputs
    ? `${golden.inputs.toLocaleString("en")} golden ${golden.inputs === 1 ? "input" : "inputs"} reproduced, within ${golden.largest_difference.toExponential(1)}`
    : "no golden inputs";
  const classes = model.classes.slice(0, 20).join(", ");
  const items = [
    ["File", model.file],
    ["Network", model.net],
    ["Task", model.task],
    [`Classes (${model.classes.length.toLocaleString("en")})`, classes + (model.classes.length > 20 ? ", …" : "")],
    ["Input", `${input.width} × ${input.height}, ${input.channels === 1 ? "grey" : input.order}, ${input.fit}`],
    ["Engine", `${model.engine} in ${model.precision}, ${model.images_per_second} images a second, ${model.batch} at a time`],
    ["Proof", proof],
    ["Measured", metricsOf(model) || "nothing"],
    ["Licence", model.licence],
    ["Weights", model.weights.slice(0, 16)],
  ];
  if (!model.explains) items.push(["Not explained", model.unexplained ?? ""]);
  made.append(heading, facts(items), folded("Where it comes from", model.provenance));
  return made;
}

function showCards() {
  const shown = chosen();
  $("cards").replaceChildren(...shown.map(card));
  $("cards").classList.toggle("two", shown.length > 1);
  $("about").hidden = !shown.length;
}

// Answers: what is shown of a result goes by what it holds. Of each kind: its bars, what it says in a few words, and
// what of that two models have in common if they say the same.
const plainBar = ({ name, score }) => ({ name, share: score, given: false });

function shareBars({ classes }) {
  const bars = classes.map(({ name, score, share }) => ({ name, share: score ?? share, given: false }));
  bars.sort((a, b) => b.share - a.share);
  if (bars.length && classes[0].score !== undefined) bars[0].given = true;
  return bars;
}

const KINDS = {
  none_of_these: {
    bars: (result) => result.none_of_these.nearest.map(plainBar),
    headline: () => "None of these",
    gist: () => "",
  },
  scores: {
    bars: ({ scores }) => scores.map(({ name, score, threshold }) => ({
      name, share: score, given: score >= threshold, note: `from ${percent(threshold)} on`,
    })),
    headline: ({ labels }) => labels.join(", ") || "None of the labels",
    gist: ({ labels }) => labels.join(", "),
  },
  objects: {
    bars: ({ objects }) => objects.map(plainBar),
    headline: (result, line) => line,
    gist: (result, line) => line,
  },
  classes: {
    bars: shareBars,
    headline: (result, line) => {
      const [best] = shareBars(result);
      return best ? `${best.name}, ${percent(best.share)}` : line;
    },
    gist: (result) => shareBars(result)[0]?.name,
  },
};

const OTHER = { bars: () => [], headline: (result, line) => line, gist: (result, line) => line };
const kindOf = (result) => KINDS[Object.keys(KINDS).find((key) => result[key])] ?? OTHER;
const headlineOf = ({ result, line }) => kindOf(result).headline(result, line);

function drawBar(bar, explain) {
  const row = $("bar").content.firstElementChild.cloneNode(true);
  row.classList.toggle("given", bar.given);
  row.querySelector("bdi").textContent = bar.name;
  row.querySelector(".number").textContent = percent(bar.share) + (bar.note ? ` (${bar.note})` : "");
  const meter = row.querySelector("progress");
  meter.value = bar.share;
  meter.setAttribute("aria-label", bar.name);
  if (explain) {
    const button = element("button");
    button.type = "button";
    button.title = "Show where it is seen";
    button.append(...row.querySelector(".name").childNodes);
    button.addEventListener("click", () => explain(bar.name));
    row.querySelector(".name").append(button);
  }
  return row;
}

function showPicture(article, source, alt) {
  const picture = article.querySelector(".picture");
  const unshown = article.querySelector(".unshown");
  picture.onerror = () => {
    picture.hidden = true;
    unshown.hidden = false;
    unshown.textContent = "This browser cannot show this kind of file; the server could read it.";
  };
  picture.onload = () => { picture.classList.toggle("small", Math.max(picture.naturalWidth, picture.naturalHeight) < 200); };
  picture.hidden = false;
  unshown.hidden = true;
  picture.alt = alt;
  picture.src = source;
}

let groups = 0;

function drawAnswer(image, model) {
  const article = $("answer").content.firstElementChild.cloneNode(true);
  article.dataset.model = model.name;
  article.querySelector(".model bdi").textContent = model.name;
  article.querySelector(".model").hidden = models.length < 2;
  const found = image.answers.get(model.name);
  showPicture(article, image.url, image.name);
  if (!found) {
    article.querySelector(".line").textContent = "…";
    return article;
  }
  if (found.error) {
    article.querySelector(".line").textContent = "No answer";
    article.querySelector(".time").textContent = found.error;
    return article;
  }
  const { answer } = found;
  article.querySelector(".line").replaceChildren(isolated(headlineOf(answer)));

  const views = article.querySelector(".views");
  const group = `view-${++groups}`;
  const addView = (name, show) => {
    const made = element("label", "", name);
    const input = element("input");
    input.type = "radio";
    input.name = group;
    input.addEventListener("change", show);
    made.prepend(input);
    views.append(made);
    return input;
  };
  const plain = addView("Image", () => showPicture(article, image.url, image.name));
  plain.checked = true;
  if (answer.drawn) {
    const drawn = addView("Result", () => showPicture(article, answer.drawn, `${answer.line}, drawn on ${image.name}`));
    drawn.checked = true;
    showPicture(article, answer.drawn, `${answer.line}, drawn on ${image.name}`);
  }
  let explain = null;
  if (model.explains) {
    let wanted = null;
    const show = async () => {
      const key = wanted ?? "";
      try {
        if (!found.explained.has(key)) {
          say("Looking where it is seen …");
          const query = { model: model.name, ...(wanted === null ? {} : { class: wanted }) };
          found.explained.set(key, await send("v1/explain", query, image.file));
          say("");
        }
        if (!reason.checked) return;
        const { picture, class: name, layer } = found.explained.get(key);
        showPicture(article, picture, `Where ${name} is seen, by Grad-CAM`);
        article.querySelector(".time").replaceChildren("Grad-CAM of ", isolated(name), ` at ${layer}: the lighter, the more it counts.`);
      } catch (error) {
        say(error.message, true);
      }
    };
    const reason = addView("Grad-CAM", show);
    explain = (name) => {
      wanted = name;
      reason.checked = true;
      show();
    };
  }
  views.hidden = views.querySelectorAll("input").length < 2;

  const bars = kindOf(answer.result).bars(answer.result).map((shown) => [shown, explain]);
  const [first, more] = article.querySelectorAll(".bars");
  first.append(...bars.slice(0, FIRST_BARS).map(([bar, act]) => drawBar(bar, act)));
  const rest = article.querySelector(".rest");
  rest.hidden = bars.length <= FIRST_BARS;
  rest.querySelector("summary").textContent = `${bars.length - FIRST_BARS} more`;
  more.append(...bars.slice(FIRST_BARS, MOST_BARS).map(([bar, act]) => drawBar(bar, act)));
  article.querySelector(".time").textContent = `${(1000 * answer.seconds).toFixed(0)} ms at the server, by ${model.engine}`;
  return article;
}

function show(image) {
  current = image;
  $("result").hidden = false;
  $("image-name").textContent = image.name;
  const shown = chosen();
  $("answers").classList.toggle("two", shown.length > 1);
  $("answers").replaceChildren(...shown.map((model) => drawAnswer(image, model)));
  $("verdict").textContent = verdict(image, shown);
  for (const other of images) other.row.firstElementChild.setAttribute("aria-current", other === image);
}

function verdict(image, shown) {
  const said = shown.map((model) => image.answers.get(model.name)?.answer).filter(Boolean);
  if (said.length < 2 || new Set(shown.map((model) => model.task)).size > 1) return "";
  const [one, other] = said.map(({ result, line }) => kindOf(result).gist(result, line));
  return one === other ? "Both say the same." : "They differ.";
}

async function predict(image) {
  const open = chosen().filter((model) => !image.answers.get(model.name)?.answer);
  if (!open.length) return;
  if (image === current) say("Asking …");
  await Promise.all(open.map(async (model) => {
    try {
      const answer = await send("v1/predict", { model: model.name, drawn: true }, image.file);
      image.answers.set(model.name, { answer, explained: new Map() });
    } catch (error) {
      image.answers.set(model.name, { error: error.message });
      if (error.status === 401) begun = begin();
    }
  }));
  image.row.querySelector(".said").textContent = [...image.answers.values()]
    .map((found) => (found.answer ? headlineOf(found.answer) : "no answer")).join(" · ");
  if (image !== current) return;
  show(image);
  const told = chosen().map((model) => {
    const found = image.answers.get(model.name);
    const text = found?.answer ? headlineOf(found.answer) : found?.error;
    return models.length > 1 ? `${model.name}: ${text}` : text;
  });
  say(told.join(". "), chosen().some((model) => image.answers.get(model.name)?.error));
}

// Images.
function add(file, name) {
  const image = { name, file, url: URL.createObjectURL(file), answers: new Map(), row: element("li") };
  const button = element("button");
  button.type = "button";
  const thumb = element("img", "thumb");
  thumb.alt = "";
  thumb.src = image.url;
  const title = element("span", "name");
  title.append(isolated(name));
  button.append(thumb, title, element("span", "said", "…"));
  button.addEventListener("click", () => {
    show(image);
    predict(image);
    $("result").focus({ preventScroll: true });
    $("result").scrollIntoView({ block: "start" });
  });
  image.row.append(button);
  images.unshift(image);
  $("images").prepend(image.row);
  for (const old of images.splice(MOST_IMAGES)) {
    URL.revokeObjectURL(old.url);
    old.row.remove();
  }
  $("gallery").hidden = false;
  return image;
}

async function take(files) {
  const taken = [...files]; // the browser empties the list once the event is over
  if (!taken.length) return;
  await begun;
  if (!models.length) return; // why, is said
  const fresh = [];
  for (const file of taken.slice(0, MOST_IMAGES).reverse()) {
    if (file.size > limits.bytes) {
      say(`${file.name}: more than ${limits.bytes.toLocaleString("en")} bytes`, true);
      continue;
    }
    fresh.unshift(add(file, file.name || "pasted image"));
  }
  if (!fresh.length) return;
  show(fresh[0]);
  for (const image of fresh) await predict(image);
}

const isFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
for (const kind of ["dragenter", "dragover"]) {
  addEventListener(kind, (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop").classList.remove("over"); });
addEventListener("drop", (event) => {
  if (!isFile(event)) return;
  event.preventDefault();
  $("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) take(event.clipboardData.files);
});
for (const id of ["file", "snapshot"]) {
  $(id).addEventListener("change", (event) => {
    take(event.target.files);
    event.target.value = ""; // the same file can be chosen again
  });
}

// The camera: live where the browser gives it, else whatever takes photos on this device.
let stream = null;

function endCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  if ($("photo").open) $("photo").close();
}

$("camera").addEventListener("click", async () => {
  try {
    if (!navigator.mediaDevices) throw new Error("no camera here");
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    $("snapshot").click();
    return;
  }
  $("video").srcObject = stream;
  $("photo").showModal();
});
$("shoot").addEventListener("click", () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [$("video").videoWidth, $("video").videoHeight];
  if (!canvas.width) return;
  canvas.getContext("2d").drawImage($("video"), 0, 0);
  const name = `photo ${new Date().toLocaleTimeString()}`;
  canvas.toBlob((blob) => { if (blob) take([new File([blob], name, { type: blob.type })]); }, "image/jpeg", 0.95);
  endCamera();
});
$("cancel").addEventListener("click", endCamera);
$("photo").addEventListener("close", endCamera);

for (const id of ["model", "other"]) {
  $(id).addEventListener("change", () => {
    showCards();
    if (!current) return;
    show(current);
    predict(current);
  });
}
$("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  begun = begin();
});
