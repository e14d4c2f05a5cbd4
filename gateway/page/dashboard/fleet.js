/**
 * What the dashboard shows, made of what the administration API says (docs/admin.md). Decides only.
 *
 * @typedef {object} Worker
 * @property {string} id
 * @property {'gateway' | 'media' | 'pipeline'} kind
 * @property {string} state
 * @property {'serving' | 'draining' | 'moving'} wish
 * @property {number} sessions
 * @property {number} capacity
 * @property {number} lagMs
 * @property {string} version
 * @property {number} reportAgeMs
 *
 * @typedef {object} Session
 * @property {string} id
 * @property {string} agent
 * @property {string} state
 * @property {number} ageS
 * @property {string} mediaWorker
 * @property {string} pipelineWorker
 * @property {number | null} answerMs How long the caller waited for the last answer.
 * @property {number | null} lossPercent Of the packets in both directions, lately.
 *
 * @typedef {{role: 'user' | 'agent' | 'tool', text?: string, name?: string, interrupted?: boolean}} Entry
 */

/** Of the event loop; above it, callers hear it. */
const LATE_MS = 20;
const KINDS = ['gateway', 'media', 'pipeline'];

/** @param {readonly Worker[]} workers */
export function workerRows(workers) {
  const order = (/** @type {Worker} */ worker) => KINDS.indexOf(worker.kind);
  return [...workers].sort((one, other) => order(one) - order(other) || one.id.localeCompare(other.id)).map((worker) => ({
    ...worker,
    isLate: worker.lagMs > LATE_MS,
    load: worker.capacity > 0 ? Math.min(1, worker.sessions / worker.capacity) : 0,
    loadText: `${worker.sessions} of ${worker.capacity}`,
    lagText: `${worker.lagMs} ms`,
    drainText: worker.wish === 'serving' ? 'Drain' : 'Undo',
  }));
}

/**
 * @param {readonly Session[]} sessions
 * @param {string} filter
 */
export function sessionRows(sessions, filter) {
  const wanted = filter.trim().toLowerCase();
  const isWanted = (/** @type {Session} */ { id, agent, mediaWorker, pipelineWorker }) =>
    [id, agent, mediaWorker, pipelineWorker].some((text) => text.toLowerCase().includes(wanted));
  return sessions.filter(isWanted).map((session) => ({
    ...session,
    ageText: duration(session.ageS),
    answerText: answer(session),
    lossText: loss(session),
  }));
}

/**
 * What the rows do not say.
 * @param {number} shown Rows.
 * @param {number} listed Sessions, of which the filter has chosen those rows.
 * @param {number} total Sessions; only the newest are listed.
 */
export function sessionNote(shown, listed, total) {
  if (!total) return 'Nobody is calling.';
  const among = listed < total ? `the newest ${listed} of ${plural(total, 'session')}` : plural(total, 'session');
  if (shown < listed) return `${shown} of ${among}`;
  return listed < total ? `Only ${among}` : '';
}

/**
 * About the session whose transcript is open.
 * @param {Session | null} session
 * @param {boolean} isGone
 */
export function sessionFacts(session, isGone) {
  if (!session) return isGone ? 'This session has ended.' : '';
  const facts = [session.agent, isGone ? 'ended' : session.state, duration(session.ageS)];
  if (answer(session)) facts.push(`answered within ${answer(session)}`);
  if (loss(session)) facts.push(`${loss(session)} lost`);
  return facts.join(' · ');
}

/**
 * The line of a transcript.
 * @param {Entry} entry
 */
export function line({ role, text, name, interrupted }) {
  const speaker = { user: 'Caller', agent: 'Agent', tool: 'Tool' }[role];
  return { speaker, words: `${text ?? name ?? ''}${interrupted ? ' (interrupted)' : ''}` };
}

/**
 * How to come from the shown entries of a transcript to the present ones. It grows at its end; a long one loses its beginning.
 * @param {readonly Entry[]} shown
 * @param {readonly Entry[]} present
 * @returns {{dropped: number, added: readonly Entry[]}} First drop so many from the beginning.
 */
export function transcriptChange(shown, present) {
  const [before, after] = [texts(shown), texts(present)];
  for (let dropped = 0; dropped < before.length; dropped += 1) {
    const kept = before.length - dropped;
    if (kept <= after.length && before.slice(dropped).every((entry, index) => entry === after[index])) {
      return { dropped, added: present.slice(kept) };
    }
  }
  return { dropped: before.length, added: present };
}

/**
 * @param {readonly Worker[]} workers
 * @param {number} total Sessions.
 */
export function summary(workers, total) {
  const draining = workers.filter(({ state }) => state === 'draining').length;
  const parts = [plural(total, 'session'), plural(workers.length, 'process', 'processes')];
  if (draining) parts.push(`${draining} draining`);
  return parts.join(', ');
}

/** @param {readonly Entry[]} entries */
function texts(entries) {
  return entries.map((entry) => JSON.stringify(entry));
}

/** @param {Session} session */
function answer({ answerMs }) {
  return answerMs === null ? '' : `${(answerMs / 1000).toFixed(1)} s`;
}

/** @param {Session} session */
function loss({ lossPercent }) {
  return lossPercent === null ? '' : `${lossPercent.toFixed(1)} %`;
}

/** @param {number} seconds */
export function duration(seconds) {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  const two = (/** @type {number} */ number) => String(number).padStart(2, '0');
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/**
 * @param {number} count
 * @param {string} one
 */
function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
