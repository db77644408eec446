// The microphone as blocks of samples.

export class NoMicrophone extends Error {}

const REASONS = {
  NotAllowedError: "The microphone may not be used: allow it for this page in the browser's settings.",
  NotFoundError: "No microphone was found. Plug one in, or choose a file.",
  NotReadableError: "The microphone is in use by another program.",
};

export class Microphone {
  // block: called with an Int16Array of samples, one channel, for every 20 ms.
  static async open(block) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new NoMicrophone("Browsers give a microphone to pages of this machine or over HTTPS only; choose a file.");
    }
    const microphone = new Microphone();
    try {
      // Nothing is played meanwhile, so there is no echo to take away from the voice.
      const audio = { channelCount: 1, echoCancellation: false };
      microphone.stream = await navigator.mediaDevices.getUserMedia({ audio });
      microphone.context = new AudioContext();
      await microphone.context.audioWorklet.addModule(new URL("capture.worklet.js", import.meta.url));
      await microphone.context.resume();
    } catch (error) {
      microphone.close();
      throw new NoMicrophone(REASONS[error.name] ?? `The microphone does not work: ${error.message}`);
    }
    microphone.node = new AudioWorkletNode(microphone.context, "capture", { numberOfOutputs: 0 });
    microphone.node.port.onmessage = ({ data }) => block(data);
    microphone.context.createMediaStreamSource(microphone.stream).connect(microphone.node);
    return microphone;
  }

  // Hertz.
  get rate() {
    return this.context.sampleRate;
  }

  close() {
    if (this.node) this.node.port.onmessage = null;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    if (this.context?.state !== "closed") this.context?.close();
  }
}
