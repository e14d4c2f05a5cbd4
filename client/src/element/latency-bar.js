/** How long the caller waited for an answer, as a small stacked bar. */

/**
 * The stages of docs/metrics.md, in order. `firstPacketMs` is the way to the media worker and its first packet.
 * @type {readonly (readonly [keyof import('../core/messages.js').MetricsEvent, string])[]}
 */
export const STAGES = [
  ['endpointMs', 'end of turn'],
  ['sttFinalMs', 'recogniser'],
  ['llmFirstTokenMs', 'model'],
  ['ttsFirstAudioMs', 'voice'],
  ['firstPacketMs', 'network'],
];

/** What is drawn as the whole width. */
const FULL_MS = 2_000;

/**
 * @param {import('../core/messages.js').MetricsEvent} turn
 * @returns {HTMLElement | null} Null for a turn that nobody waited for, such as a greeting.
 */
export function latencyBar(turn) {
  if (turn.firstAudioMs === undefined) return null;
  const latency = document.createElement('span');
  latency.className = 'latency';
  latency.setAttribute('role', 'img');
  latency.setAttribute('part', 'latency');
  const bar = document.createElement('span');
  bar.className = 'bar';
  const words = [];
  for (const [field, name] of STAGES) {
    const ms = turn[field];
    if (typeof ms !== 'number') continue;
    const stage = document.createElement('span');
    stage.className = field;
    stage.style.inlineSize = `${Math.min(100, (100 * ms) / FULL_MS)}%`;
    bar.append(stage);
    words.push(`${name} ${ms} ms`);
  }
  const seconds = `${(turn.firstAudioMs / 1000).toFixed(1)} s`;
  const summary = `Answered after ${seconds}: ${words.join(', ')}`;
  latency.setAttribute('aria-label', summary);
  latency.title = summary;
  latency.append(bar, seconds);
  return latency;
}
