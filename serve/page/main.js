// The form and the queue: one request at a time, in the order in which media came.

import { Card, plain, summary } from "./card.js";
import { Problem, draw, judge } from "./judging.js";

const byId = (id) => document.getElementById(id);
const form = byId("form");
const waiting = [];
let busy = false;

function announce(words) {
  byId("status").textContent = words;
}

function options() {
  const stages = {};
  for (const box of form.querySelectorAll("input[data-stage]")) {
    stages[box.dataset.stage] = JSON.parse(box.checked ? box.dataset.on : box.dataset.off);
  }
  return { constitution: byId("policy").value, stages, text: byId("text").value.trim() };
}

function add(files) {
  for (const file of files) {
    const card = new Card(file);
    card.action("again").addEventListener("click", () => enqueue(card));
    card.action("stop").addEventListener("click", () => stop(card));
    card.action("remove").addEventListener("click", () => remove(card));
    byId("cards").prepend(card.element);
    enqueue(card);
  }
}

function enqueue(card) {
  card.asked = options(); // as they are now, not as they are when its turn comes
  card.key = byId("key")?.value ?? "";
  card.begin();
  card.phase("waiting for its turn");
  byId("empty").hidden = true;
  waiting.push(card);
  work();
}

async function work() {
  if (busy) return;
  busy = true;
  while (waiting.length) await follow(waiting.shift());
  busy = false;
}

async function follow(card) {
  card.abort = new AbortController();
  card.phase("judging");
  announce(`Judging ${card.name}.`);
  try {
    checkSize(card.file);
    await show(card);
  } catch (error) {
    if (card.abort.signal.aborted) failed(card, new Problem("Stopped before the answer was complete."));
    else failed(card, error instanceof Problem ? error : new Problem("The page could not show the answer."));
    if (!(error instanceof Problem) && !card.abort.signal.aborted) console.error(error);
  }
  card.abort = null;
}

async function show(card) {
  const { signal } = card.abort;
  const began = performance.now();
  let last = null;
  let request = "";
  for await (const { line, requestId } of judge(card.file, card.asked, card.key, signal)) {
    card.note(line.result, line.final, (performance.now() - began) / 1000);
    announce(`${card.name}: ${line.final ? "" : "first answer, "}${plain(summary(line.result))}.`);
    last = line;
    request = requestId;
    await place(card, line);
  }
  if (!last?.final) throw new Problem("The service gave no final answer.", { hint: "judge it again" });
  card.end(last.result.error ? `no verdict · request ${request}` : "final");
}

async function place(card, line) {
  try {
    card.show(await draw(line.result, card.key, card.abort.signal), line.final);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    card.showPlain(line.result, line.final, error);
  }
}

function failed(card, problem) {
  card.fail(problem);
  announce(`${card.name}: ${plain(problem.message)}`);
}

function checkSize(file) {
  const most = Number(form.dataset.maxBytes);
  if (file.size > most) throw new Problem("The file is larger than the service takes.", { hint: "choose a smaller one" });
  if (file.size === 0) throw new Problem("The file is empty.", { hint: "choose another one" });
}

function stop(card) {
  if (card.abort) {
    card.abort.abort();
    return;
  }
  const place = waiting.indexOf(card);
  if (place >= 0) waiting.splice(place, 1);
  failed(card, new Problem("Stopped before it was judged."));
}

function remove(card) {
  const place = waiting.indexOf(card);
  if (place >= 0) waiting.splice(place, 1);
  card.abort?.abort();
  card.discard();
  byId("empty").hidden = byId("cards").childElementCount > 0;
  byId("results").focus();
}

async function addSample(button) {
  const response = await fetch(button.dataset.sample);
  if (!response.ok) {
    announce("The sample cannot be loaded.");
    return;
  }
  const content = await response.blob();
  const policy = [...byId("policy").options].find((each) => each.value.startsWith(`${button.dataset.policy}@`));
  if (policy) byId("policy").value = policy.value;
  add([new File([content], button.dataset.name, { type: content.type })]);
}

byId("file").addEventListener("change", (event) => {
  add([...event.target.files]);
  event.target.value = ""; // the same file again is a change, too
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-sample]");
  if (button) addSample(button);
});
byId("blur").addEventListener("change", (event) => document.body.classList.toggle("blurred", event.target.checked));

window.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  add(files);
});
const mark = (over) => byId("drop").classList.toggle("over", over);
window.addEventListener("dragover", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return; // text goes where it is dropped
  event.preventDefault();
  mark(true);
});
window.addEventListener("dragleave", (event) => event.relatedTarget ?? mark(false));
window.addEventListener("drop", (event) => {
  mark(false);
  const files = [...(event.dataTransfer?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  add(files);
});
document.body.dataset.ready = "true";
