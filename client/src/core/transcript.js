/**
 * The conversation as people read it: what both said, in the order in which it began, and the tools that the agent used.
 *
 * @typedef {import('./messages.js').SessionEvent} SessionEvent
 *
 * @typedef {object} Utterance
 * @property {'utterance'} kind
 * @property {'user' | 'agent'} role
 * @property {string} text
 * @property {boolean} final Interim text is replaced by the next text of the same role.
 * @property {boolean} interrupted
 * @property {number} seq Of the newest event in it.
 * @property {number} since Of the first one: identifies the entry.
 *
 * @typedef {object} ToolUse
 * @property {'tool'} kind
 * @property {string} id
 * @property {string} name
 * @property {Record<string, unknown> | undefined} arguments
 * @property {boolean | null} ok Null while it runs.
 * @property {number | null} durationMs
 * @property {number} since
 *
 * @typedef {Utterance | ToolUse} TranscriptEntry
 * @typedef {readonly TranscriptEntry[]} Transcript
 */

/** Older entries are dropped. */
export const MAX_ENTRIES = 1000;

/**
 * The transcript after one event; the same object if nothing changed.
 * @param {Transcript} transcript
 * @param {SessionEvent} event
 * @returns {Transcript}
 */
export function withEvent(transcript, event) {
  switch (event.type) {
    case 'transcript':
    case 'transcript-partial':
      return withWords(transcript, event);
    case 'tool-call': {
      const { id, name, seq } = event;
      return inOrder([...transcript, { kind: 'tool', id, name, arguments: event.arguments, ok: null, durationMs: null, since: seq }]);
    }
    case 'tool-result': {
      const { id, ok, durationMs } = event;
      return transcript.map((entry) => (entry.kind === 'tool' && entry.id === id ? { ...entry, ok, durationMs } : entry));
    }
    default:
      return transcript;
  }
}

/**
 * The call is over: what is still interim stays as it is, and tools will not answer any more.
 * @param {Transcript} transcript
 * @returns {Transcript}
 */
export function closed(transcript) {
  return transcript.map((entry) => {
    if (entry.kind === 'tool') return entry.ok === null ? { ...entry, ok: false } : entry;
    return entry.final ? entry : { ...entry, final: true, interrupted: true };
  });
}

/**
 * @param {Transcript} transcript
 * @param {Extract<SessionEvent, {role: 'user' | 'agent'}>} event
 * @returns {Transcript}
 */
function withWords(transcript, event) {
  const { role, text, seq } = event;
  const final = event.type === 'transcript';
  const said = transcript.filter((entry) => entry.kind === 'utterance' && entry.role === role);
  // Events that were sent again can be older than what is known.
  if (!final && said.some((entry) => entry.kind === 'utterance' && entry.seq > seq)) return transcript;
  const interim = said.find((entry) => entry.kind === 'utterance' && !entry.final && entry.seq < seq);
  /** @type {Utterance} */
  const utterance = {
    kind: 'utterance', role, text, final, interrupted: event.type === 'transcript' && (event.interrupted ?? false), seq,
    since: interim?.since ?? seq,
  };
  return inOrder([...transcript.filter((entry) => entry !== interim), utterance]);
}

/**
 * @param {TranscriptEntry[]} entries
 * @returns {Transcript}
 */
function inOrder(entries) {
  return entries.sort((one, other) => one.since - other.since).slice(-MAX_ENTRIES);
}
