/** Sees each encoded packet on its way out and tells its first byte (RFC 6716 §3.1) and size. Nothing is sent of an
 * empty one: that is discontinuous transmission. */
onrtctransform = ({ transformer }) => {
  const tell = new TransformStream({
    transform(frame, controller) {
      const bytes = frame.data.byteLength;
      if (bytes > 0) postMessage({ toc: new Uint8Array(frame.data)[0], bytes });
      controller.enqueue(frame);
    },
  });
  transformer.readable.pipeThrough(tell).pipeTo(transformer.writable);
};
