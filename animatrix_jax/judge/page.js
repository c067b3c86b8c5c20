"use strict";
// What a person said of the first pairs, in their order: a clip's number in its line,
// or null. What is left and what is right is only how a pair is shown.
const { key, pairs } = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
let answers = load();
let playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
let shown = 0; // counts what was shown, so that the loop of an earlier pair ends

function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? "[]");
    const fits = (answer) => answer === 0 || answer === 1 || answer === null;
    return Array.isArray(kept) && kept.every(fits) ? kept.slice(0, pairs.length) : [];
  } catch {
    return [];
  }
}

function keep() {
  try {
    localStorage.setItem(key, JSON.stringify(answers));
    at("kept").textContent = "kept in this browser";
  } catch {
    at("kept").textContent = "this browser keeps nothing: save before you leave";
  }
}

function take(side) {
  const pair = pairs[answers.length];
  if (!pair) return;
  answers.push(side === null ? null : side === "left" ? pair.left : 1 - pair.left);
  keep();
  show();
}

function undo() {
  if (!answers.length) return;
  answers.pop();
  keep();
  show();
}

function lines() {
  return answers
    .map((answer, n) => ({ ...pairs[n].line, people_prefer: answer }))
    .map((line) => JSON.stringify(line) + "\n")
    .join("");
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines()], { type: "application/jsonl" }));
  link.download = "answers.jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function show() {
  shown += 1;
  const pair = pairs[answers.length];
  const count = answers.length;
  at("where").textContent = pair
    ? `Pair ${count + 1} of ${pairs.length}`
    : `${count} of ${pairs.length} pairs rated`;
  at("bar").max = Math.max(pairs.length, 1);
  at("bar").value = count;
  at("pair").hidden = !pair;
  at("done").hidden = Boolean(pair) || !pairs.length;
  at("undo").disabled = at("save").disabled = !count;
  at("save").textContent = `Save answers.jsonl (${count})`;
  at("left").replaceChildren();
  at("right").replaceChildren();
  if (!pair) return;
  at("prompt").textContent = pair.line.prompt;
  at("tags").replaceChildren(...pair.words.map(group));
  const media = ["left", "right"].map((side) => {
    const clip = side === "left" ? pair.left : 1 - pair.left;
    return clipOf(pair.sources[clip], pair.line.clips[clip], at(side));
  });
  loop(media.filter((clip) => clip.video), shown, false);
}

// The tags of an axis: field and value in words.
function group({ axis, tags }) {
  const box = document.createElement("div");
  const list = document.createElement("dl");
  for (const { field, value, meaning } of tags) {
    const line = document.createElement("div");
    const term = document.createElement("dt");
    const said = document.createElement("dd");
    term.textContent = field;
    said.textContent = value;
    line.title = meaning;
    line.append(term, said);
    list.append(line);
  }
  const head = document.createElement("h3");
  head.textContent = axis;
  box.append(head, list);
  return box;
}

// A clip in its figure, with where it starts and ends: a part of a file ends in
// "#t=START,END".
function clipOf(source, name, figure) {
  const [url, span] = source.split("#t=");
  const [start, end] = span ? span.split(",").map(Number) : [0, Infinity];
  const image = /\.gif$/i.test(url);
  const element = document.createElement(image ? "img" : "video");
  const size = () => {
    const { naturalWidth, naturalHeight, videoWidth, videoHeight } = element;
    const sides = image ? [naturalWidth, naturalHeight] : [videoWidth, videoHeight];
    element.classList.toggle("crisp", Math.max(...sides) <= 64);
  };
  element.addEventListener(image ? "load" : "loadedmetadata", size);
  element.addEventListener("error", () => {
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = `this browser cannot play ${name}`;
    figure.replaceChildren(note);
  });
  if (image) {
    element.alt = "";
  } else {
    element.muted = true;
    element.playsInline = true;
    element.preload = "auto";
  }
  element.src = url;
  figure.replaceChildren(element);
  return { video: image ? null : element, start, end };
}

// Both start together, and again when both are at their ends.
function loop(clips, mine, started) {
  if (mine !== shown) return;
  const over = ({ video, end }) =>
    video.error || video.ended || video.currentTime >= end;
  const ready = ({ video }) => video.error || video.readyState >= 3;
  const begins = playing && clips.every(started ? over : ready);
  for (const clip of clips) {
    const { video, start } = clip;
    if (video.error) continue;
    if (begins) video.currentTime = start;
    const runs = playing && (begins || (started && !over(clip)));
    if (runs && video.paused) video.play().catch(() => {});
    if (!runs && !video.paused) video.pause();
  }
  requestAnimationFrame(() => loop(clips, mine, started || begins));
}

function toggle() {
  playing = !playing;
  sayPlaying();
}

function sayPlaying() {
  at("play").querySelector("span").textContent = playing ? "Pause" : "Play";
}

const KEYS = {
  1: () => take("left"),
  2: () => take("right"),
  0: () => take(null),
  u: undo,
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const act = KEYS[event.key.toLowerCase()];
  if (act) act();
  else if (event.key === " " && !event.target.closest?.("button")) toggle();
  else return;
  event.preventDefault();
});
at("take-left").onclick = KEYS[1];
at("take-right").onclick = KEYS[2];
at("take-none").onclick = KEYS[0];
at("undo").onclick = undo;
at("save").onclick = save;
at("play").onclick = toggle;
sayPlaying();
show();
