/** Below this, in dBFS, a level reads 0; at 0 dBFS it reads 1. */
const FLOOR_DB = -60;

/** How loud a stream is now. One `AudioContext` serves several meters. */
export class LevelMeter {
  /**
   * @param {AudioContext} context
   * @param {MediaStream} stream
   */
  constructor(context, stream) {
    this.source = context.createMediaStreamSource(stream);
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = 512;
    this.source.connect(this.analyser);
    this.samples = new Float32Array(this.analyser.fftSize);
  }

  /** From 0 to 1, on a logarithmic scale as ears have it. */
  read() {
    this.analyser.getFloatTimeDomainData(this.samples);
    return levelOf(this.samples);
  }

  close() {
    this.source.disconnect();
    this.analyser.disconnect();
  }
}

/** @param {Float32Array} samples From -1 to 1. */
export function levelOf(samples) {
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  const decibels = 10 * Math.log10(energy / samples.length);
  return Math.min(1, Math.max(0, 1 - decibels / FLOOR_DB));
}
