import { latencyBar } from './latency-bar.js';

/**
 * @typedef {import('../core/transcript.js').TranscriptEntry} TranscriptEntry
 * @typedef {import('../voice-agent.js').CallState} CallState
 */

const SPEAKERS = { user: 'You', agent: 'Agent' };
/** Whoever has scrolled further up than this reads something older, and stays there. */
const NEAR_END_PX = 60;

/** Draws a transcript: a list item for each entry, changed in place. */
export class TranscriptView {
  /**
   * @param {HTMLElement} pane Scrolls.
   * @param {HTMLElement} list
   */
  constructor(pane, list) {
    this.pane = pane;
    this.list = list;
    /** @type {Map<number, HTMLElement>} */
    this.items = new Map();
    /** @type {CallState['transcript']} */
    this.shown = [];
    /** @type {CallState['turns']} */
    this.turns = [];
    this.isAtEnd = true;
    pane.onscroll = () => {
      this.isAtEnd = pane.scrollHeight - pane.scrollTop - pane.clientHeight < NEAR_END_PX;
    };
    // Such as by the keyboard of a phone.
    new ResizeObserver(() => this.stayAtEnd()).observe(pane);
  }

  /** @param {CallState} state */
  show({ transcript, turns }) {
    if (transcript === this.shown && turns === this.turns) return;
    this.removeOld(transcript);
    const known = new Set(this.shown);
    transcript.forEach((entry, index) => {
      const item = this.item(entry);
      if (!known.has(entry)) draw(item, entry);
      if (this.list.children[index] !== item) this.list.insertBefore(item, this.list.children[index] ?? null);
    });
    if (turns !== this.turns) this.showLatencies(transcript, turns);
    this.shown = transcript;
    this.turns = turns;
    this.stayAtEnd();
  }

  stayAtEnd() {
    if (this.isAtEnd) this.pane.scrollTop = this.pane.scrollHeight;
  }

  /** @param {CallState['transcript']} transcript */
  removeOld(transcript) {
    const present = new Set(transcript.map(({ since }) => since));
    for (const [since, item] of this.items) {
      if (present.has(since)) continue;
      item.remove();
      this.items.delete(since);
    }
  }

  /** @param {TranscriptEntry} entry */
  item(entry) {
    let item = this.items.get(entry.since);
    if (!item) {
      item = document.createElement('li');
      this.items.set(entry.since, item);
    }
    return item;
  }

  /**
   * A turn's figures come about when its last words are heard.
   * @param {CallState['transcript']} transcript
   * @param {CallState['turns']} turns
   */
  showLatencies(transcript, turns) {
    for (const turn of turns) {
      const spoken = transcript.filter((entry) => entry.kind === 'utterance' && entry.role === 'agent' && entry.since < turn.seq);
      const item = this.items.get(spoken.at(-1)?.since ?? 0);
      const bar = item && !item.querySelector('.latency') && latencyBar(turn);
      if (bar) item.append(bar);
    }
  }
}

/**
 * @param {HTMLElement} item
 * @param {TranscriptEntry} entry
 */
function draw(item, entry) {
  const latency = item.querySelector('.latency');
  if (entry.kind === 'tool') {
    item.className = 'tool';
    item.setAttribute('part', 'tool');
    item.dataset.ok = String(entry.ok ?? '');
    const how = entry.ok === null ? 'is running' : entry.ok ? `done in ${((entry.durationMs ?? 0) / 1000).toFixed(2)} s` : 'failed';
    item.replaceChildren(span('name', entry.name), span('how', how));
    if (entry.arguments) item.title = JSON.stringify(entry.arguments);
    return;
  }
  item.className = entry.final ? 'final' : 'interim';
  item.classList.toggle('interrupted', entry.interrupted);
  // Screen readers read a text once, when it is final.
  item.ariaHidden = entry.final ? null : 'true';
  item.setAttribute('part', `utterance ${entry.role}`);
  item.dataset.role = entry.role;
  const text = span('text', entry.text);
  text.dir = 'auto';
  item.replaceChildren(span('speaker', SPEAKERS[entry.role]), text);
  if (entry.interrupted) item.append(span('mark', 'interrupted'));
  if (latency) item.append(latency);
}

/**
 * @param {string} className
 * @param {string} text
 */
function span(className, text) {
  const element = document.createElement('span');
  element.className = className;
  element.textContent = text;
  return element;
}
