"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const memory = "dalle2eval-vote-" + data.study;
  const buttons = [...document.querySelectorAll("[data-choice]")];
  const keys = { 1: "left", 2: "right", t: "tie", b: "bad" };
  const RETRY_MS = [1000, 2000, 5000, 10000];
  let me = recall(), showings = [], answered = new Set(), seenAt = 0, busy = true, unsaved = 0;

  function recall() {
    try { return JSON.parse(localStorage.getItem(memory)); } catch { return null; }
  }
  function remember() {
    try { localStorage.setItem(memory, JSON.stringify(me)); return true; } catch { return false; }
  }
  function secret() {
    const bytes = crypto.getRandomValues(new Uint8Array(18));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  const wait = (ms) => new Promise((go) => setTimeout(go, ms));

  class Refused extends Error {}

  const server = {
    async ask(path, body) {
      for (let tries = 0; ; tries++) {
        let why = "the server does not answer";
        try {
          const answer = await fetch(path, {
            method: "POST", credentials: "same-origin", body: JSON.stringify(body),
            headers: { "Content-Type": "application/json", "X-Study-Token": data.token },
          });
          const content = await answer.json();
          if (answer.ok) return content;
          if (answer.status !== 429 && answer.status < 500) throw new Refused(content.error);
          why = answer.status === 429 ? "too many answers at once" : "the server has a fault";
        } catch (error) {
          if (error instanceof Refused) throw error;
        }
        tell(`Not saved yet: ${why}. Trying again …`, true);
        await wait(RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]);
      }
    },
    async join(name) {
      const found = await this.ask("/join", { name, key: me.key });
      me.name = found.name;
      return found;
    },
    save(showing, choice, seconds) {
      return this.ask("/vote", { key: me.key, pair: showing.pair, choice, seconds });
    },
  };

  const page = {
    async join(name) {
      me.name = name;
      me.sequence ??= Math.floor(Math.random() * data.sequences.length);
      me.votes ??= [];
      return { showings: data.sequences[me.sequence].map(([place, left]) => {
        const { pair, prompt, pictures } = data.pairs[place];
        return { pair, prompt, left: pictures[left], right: pictures[1 - left] };
      }), answered: me.votes.map((vote) => vote.pair) };
    },
    async save(showing, choice, seconds) {
      me.votes.push({ pair: showing.pair, choice, seconds, at: new Date().toISOString() });
      if (!remember()) unsaved++;
    },
  };
  const backend = data.mode === "server" ? server : page;

  function tell(text, isError) {
    byId("status").textContent = text;
    byId("status").classList.toggle("error", Boolean(isError));
  }
  function show(id) {
    for (const name of ["start", "vote", "done"]) byId(name).hidden = name !== id;
    byId("save-line").hidden = data.mode !== "static" || id === "start";
  }

  async function join(name) {
    const found = await backend.join(name);
    showings = found.showings;
    answered = new Set(found.answered);
    remember();
    show("vote");
    byId("asks").focus();
    await next();
  }

  async function next() {
    const showing = showings.find((each) => !answered.has(each.pair));
    if (!showing) return finish();
    const done = answered.size, words = data.group ? "group of pictures" : "picture";
    byId("progress").max = showings.length;
    byId("progress").value = done;
    byId("count").textContent = `${done + 1} of ${showings.length}`;
    byId("live").textContent = `Pair ${done + 1} of ${showings.length}. ${showing.prompt ?? ""}`;
    if (byId("prompt")) byId("prompt").textContent = showing.prompt;
    await load(showing, `pair ${done + 1} of ${showings.length}`, words);
    for (const button of buttons) button.classList.remove("chosen");
    tell("");
    free(true);
    seenAt = performance.now();
    const after = showings.find((each) => !answered.has(each.pair) && each !== showing);
    if (after) for (const side of ["left", "right"]) new Image().src = after[side];
  }

  // Nobody votes on what they have not seen: the buttons wake up when both pictures are there.
  async function load(showing, where, words) {
    byId("vote").classList.add("loading");
    for (let tries = 0; ; tries++) {
      try {
        await Promise.all(["left", "right"].map((side) => {
          const image = byId(side);
          image.alt = `${side === "left" ? "Left" : "Right"} ${words}, ${where}`;
          image.src = showing[side] + (tries && data.mode === "server" ? `&again=${tries}` : "");
          return image.decode();
        }));
        break;
      } catch {
        tell("A picture did not load. Trying again …", true);
        await wait(RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]);
      }
    }
    byId("vote").classList.remove("loading");
  }

  function free(on) {
    busy = !on;
    for (const button of buttons) button.setAttribute("aria-disabled", String(!on));
  }

  async function choose(choice) {
    if (busy || byId("vote").hidden) return;
    free(false);
    buttons.find((button) => button.dataset.choice === choice).classList.add("chosen");
    const showing = showings.find((each) => !answered.has(each.pair));
    const seconds = Math.round((performance.now() - seenAt) / 100) / 10;
    try {
      await backend.save(showing, choice, seconds);
    } catch (error) {
      tell(error.message, true);
      return;
    }
    answered.add(showing.pair);
    await next();
  }

  function finish() {
    show("done");
    byId("done-text").textContent = data.mode === "static"
      ? `All ${showings.length} answered, ${me.name}. Save your answers as a file and send it to whoever asked you.`
      : `All ${showings.length} answered and saved, ${me.name}. You may close this page.`;
    byId("live").textContent = byId("done-text").textContent;
    byId("thanks").focus();
  }

  function download() {
    const content = {
      format: data.format, schema_version: 1, study: data.study,
      voter: me.name, key: me.key, sequence: me.sequence, votes: me.votes,
    };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(
      new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
    link.download = `votes-${me.name.replace(/[^A-Za-z0-9-]+/g, "_")}-${data.study.slice(0, 8)}.json`;
    link.click();
    unsaved = 0;
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  byId("join").addEventListener("submit", async (event) => {
    event.preventDefault();
    me = { ...me, key: me?.key ?? secret() };
    try {
      await join(byId("name").value.trim());
    } catch (error) {
      me = null;
      byId("join-error").textContent = error.message;
    }
  });
  byId("save").addEventListener("click", download);
  for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.choice));
  document.addEventListener("keydown", (event) => {
    const choice = keys[event.key.toLowerCase()];
    if (!choice || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.tagName === "INPUT") return;
    event.preventDefault();
    choose(choice);
  });
  addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });

  if (me?.name) join(me.name).catch(() => { me = null; show("start"); });
  else show("start");
})();
