/** Posts both inputs (what is said, what is heard) in pieces of 20 ms: `{said, heard}`, Int16Array each. */
class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = sampleRate / 50;
    this.clear();
  }

  clear() {
    this.lines = [new Int16Array(this.piece), new Int16Array(this.piece)];
    this.filled = 0;
  }

  process(inputs) {
    const frames = 128;
    for (let at = 0; at < frames; at += 1) {
      this.lines.forEach((line, index) => {
        const sample = inputs[index][0]?.[at] ?? 0;
        line[this.filled] = Math.max(-32768, Math.min(32767, Math.round(sample * 32767)));
      });
      this.filled += 1;
      if (this.filled === this.piece) {
        const [said, heard] = this.lines;
        this.port.postMessage({ said, heard }, [said.buffer, heard.buffer]);
        this.clear();
      }
    }
    return true;
  }
}

registerProcessor('recorder', Recorder);
