import { qualityOf, sampleOf } from './quality.js';

const EVERY_MS = 2_000;

/** Watches the connection's quality while a call is connected. */
export class QualityMonitor {
  /**
   * @param {() => Promise<RTCStatsReport | undefined>} statistics
   * @param {(quality: import('./quality.js').Quality) => void} onQuality
   */
  constructor(statistics, onQuality) {
    this.statistics = statistics;
    this.onQuality = onQuality;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
    /** @type {import('./quality.js').NetworkSample | null} */
    this.before = null;
  }

  start() {
    this.stop();
    this.timer = setInterval(() => void this.look(), EVERY_MS);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.before = null;
  }

  async look() {
    const report = await this.statistics();
    if (!report || this.timer === undefined) return;
    const now = sampleOf(report.values(), performance.now());
    // Another peer connection counts from zero.
    if (this.before && now.received >= this.before.received) this.onQuality(qualityOf(this.before, now));
    this.before = now;
  }
}
