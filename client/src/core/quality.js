/**
 * How good a connection is, from two samples of `RTCPeerConnection.getStats()` (W3C webrtc-stats) some seconds apart.
 *
 * @typedef {'good' | 'poor' | 'lost'} Quality
 *
 * @typedef {object} NetworkSample
 * @property {number} at In ms.
 * @property {number} received Packets from the server.
 * @property {number} lost
 * @property {number} concealed Samples that were made up because a packet was late or lost, without those in silence.
 * @property {number} played Samples.
 * @property {number} jitterMs
 * @property {number} roundTripMs
 * @property {number} lossThere Share of our packets that the server missed, 0 to 1.
 */

const POOR_LOSS = 0.05;
const POOR_CONCEALMENT = 0.05;
const POOR_ROUND_TRIP_MS = 400;
const POOR_JITTER_MS = 60;

/**
 * @param {NetworkSample} before
 * @param {NetworkSample} now
 * @returns {Quality}
 */
export function qualityOf(before, now) {
  const received = now.received - before.received;
  const lost = now.lost - before.lost;
  const played = now.played - before.played;
  const isPoor =
    lost > POOR_LOSS * (received + lost) ||
    now.concealed - before.concealed > POOR_CONCEALMENT * played ||
    now.roundTripMs > POOR_ROUND_TRIP_MS ||
    now.jitterMs > POOR_JITTER_MS ||
    now.lossThere > POOR_LOSS;
  return isPoor ? 'poor' : 'good';
}

/**
 * @param {Iterable<any>} report
 * @param {number} at
 * @returns {NetworkSample}
 */
export function sampleOf(report, at) {
  const sample = { at, received: 0, lost: 0, concealed: 0, played: 0, jitterMs: 0, roundTripMs: 0, lossThere: 0 };
  for (const entry of report) {
    if (entry.type === 'inbound-rtp' && entry.kind === 'audio') {
      sample.received = entry.packetsReceived ?? 0;
      sample.lost = entry.packetsLost ?? 0;
      sample.concealed = (entry.concealedSamples ?? 0) - (entry.silentConcealedSamples ?? 0);
      sample.played = entry.totalSamplesReceived ?? 0;
      sample.jitterMs = 1000 * (entry.jitter ?? 0);
    } else if (entry.type === 'remote-inbound-rtp' && entry.kind === 'audio') {
      sample.lossThere = entry.fractionLost ?? 0;
    } else if (entry.type === 'candidate-pair' && entry.nominated) {
      sample.roundTripMs = 1000 * (entry.currentRoundTripTime ?? 0);
    }
  }
  return sample;
}
