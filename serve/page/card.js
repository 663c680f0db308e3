// One card: a piece of media, what is known of it so far, and what went wrong. Texts are set as text, never as markup.

const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}]/gu;

/** A file's name without characters that reorder or hide what stands beside them. */
export function plain(text) {
  return text.replace(HIDDEN, "\ufffd");
}

export class Card {
  constructor(file) {
    this.file = file;
    this.name = plain(file.name) || "pasted";
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.url = URL.createObjectURL(file);
    this.result = null;
    this.part("name").textContent = this.name;
    this.part("media").append(this.preview());
    this.element.addEventListener("click", (event) => this.clicked(event));
    this.phase("waiting");
  }

  part(name) {
    return this.element.querySelector(`[data-part="${name}"]`);
  }

  action(name) {
    return this.element.querySelector(`[data-act="${name}"]`);
  }

  preview() {
    this.player = null;
    const isVideo = this.file.type.startsWith("video/");
    const shown = document.createElement(isVideo ? "video" : "img");
    if (isVideo) {
      Object.assign(shown, { controls: true, muted: true, playsInline: true, preload: "auto" });
      shown.setAttribute("aria-label", this.name);
      this.player = shown;
    } else {
      shown.alt = this.name;
    }
    shown.addEventListener("error", () => this.noPreview(shown), { once: true });
    shown.src = this.url;
    return shown;
  }

  noPreview(shown) {
    this.player = null;
    const note = document.createElement("p");
    note.className = "why";
    note.textContent = "This browser cannot show the file. The verdict does not depend on that.";
    shown.replaceWith(note);
  }

  begin() {
    this.element.setAttribute("aria-busy", "true");
    this.action("stop").hidden = false;
    this.action("again").hidden = true;
    this.part("problem").hidden = true;
    this.part("history").hidden = true;
    this.part("history").querySelector("ol").replaceChildren();
    this.part("verdict").replaceChildren();
    this.part("raw").hidden = true;
    this.result = null;
    this.phase("judging");
  }

  end(words) {
    this.element.setAttribute("aria-busy", "false");
    this.action("stop").hidden = true;
    this.action("again").hidden = false;
    this.phase(words);
  }

  phase(words) {
    this.part("phase").textContent = words;
  }

  /** What was just answered, before it is drawn. */
  note(result, final, seconds) {
    this.result = result;
    const raw = this.part("raw");
    raw.querySelector("pre").textContent = JSON.stringify(result, null, 2);
    raw.hidden = false;
    this.phase(final ? "final" : "first answer; slower stages may still change it");
    if (final) return;
    const history = this.part("history");
    const entry = document.createElement("li");
    entry.textContent = `after ${seconds.toFixed(2)} s: ${summary(result)}`;
    history.querySelector("ol").append(entry);
    history.hidden = history.querySelectorAll("li").length < 2;
  }

  /** Puts the service's HTML in place of the last one; what was open stays open. */
  show(html, final) {
    const place = this.part("verdict");
    const open = new Map([...place.querySelectorAll("details[data-key]")].map((each) => [each.dataset.key, each.open]));
    const held = document.activeElement?.closest?.("details[data-key]");
    const key = held && place.contains(held) ? held.dataset.key : null;
    const parsed = new DOMParser().parseFromString(html, "text/html");
    place.replaceChildren(...parsed.body.childNodes);
    place.classList.toggle("preliminary", !final);
    for (const each of place.querySelectorAll("details[data-key]")) {
      if (open.get(each.dataset.key)) each.open = true;
      if (each.dataset.key === key) each.querySelector("summary").focus();
    }
    this.fillPictures(place);
  }

  fillPictures(place) {
    const pictures = place.querySelectorAll("img[data-picture]");
    for (const picture of pictures) {
      if (this.file.type.startsWith("video/")) picture.remove();
      else picture.src = this.url;
    }
  }

  fail(problem) {
    const box = this.part("problem");
    const lines = [["b", problem.message]];
    if (problem.hint) lines.push(["span", `What may help: ${problem.hint}.`]);
    if (problem.retryAfter) lines.push(["span", `Try again after ${problem.retryAfter} s.`]);
    if (this.result) lines.push(["span", "What is below was known before, and may be incomplete."]);
    if (problem.requestId) lines.push(["small", `Request ${problem.requestId}${problem.code ? ` · ${problem.code}` : ""}`]);
    box.replaceChildren(...lines.map(([tag, text]) => Object.assign(document.createElement(tag), { textContent: text })));
    box.hidden = false;
    this.end(this.result ? "incomplete" : "no verdict");
  }

  async clicked(event) {
    const target = event.target.closest("button");
    if (target?.dataset.seekMs) this.seek(Number(target.dataset.seekMs));
    if (target?.dataset.act === "copy") await this.copy(target);
  }

  seek(milliseconds) {
    if (!this.player) return;
    this.player.pause();
    this.player.currentTime = milliseconds / 1000;
    this.player.scrollIntoView({ block: "nearest" });
  }

  async copy(button) {
    const text = this.part("raw").querySelector("pre");
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text); // no clipboard without https
      button.textContent = "Selected: copy it with the keyboard";
    }
  }

  discard() {
    URL.revokeObjectURL(this.url);
    this.element.remove();
  }
}

/** One line about a result. */
export function summary(result) {
  if (result.error) return `no verdict: ${result.error.message}`;
  return `${result.decision}, highest rule score ${result.score.toFixed(2)}`;
}
