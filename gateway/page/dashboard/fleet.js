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
 * @property {number | null} [answerMs] How long the caller waited for the last answer.
 * @property {number | null} [lossPercent] Of the packets in both directions.
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
    answerText: session.answerMs == null ? '' : `${(session.answerMs / 1000).toFixed(1)} s`,
    lossText: session.lossPercent == null ? '' : `${session.lossPercent.toFixed(1)} %`,
  }));
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
