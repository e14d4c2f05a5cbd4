import { useEffect, useId, useRef, type ButtonHTMLAttributes, type ReactNode } from 'react';

import type { VoiceAgentClient } from '../src/voice-agent.js';
import { useMicrophones } from './use-microphones.js';
import { useCallState, useVoiceSession, type VoiceSessionOptions } from './use-voice-session.js';
import { useTranscript } from './use-transcript.js';

interface OfClient {
  client: VoiceAgentClient | null;
}

/** A whole call: status, button, what is said. The class names are those of the specification. */
export function VoiceAgent(props: VoiceSessionOptions) {
  const { client, phase, status, error, isAudioBlocked } = useVoiceSession(props);
  return (
    <div className="voice-agent">
      <div className="status" role="status">Status: {phase === 'connected' ? status || phase : phase}</div>
      {error && <div className="problem" role="alert">{error.message} {error.cure}</div>}
      <div className="controls">
        <CallButton client={client} />
        {isAudioBlocked && <button type="button" onClick={() => void client?.startAudio()}>Let the agent be heard</button>}
      </div>
      <Transcript client={client} />
    </div>
  );
}

interface CallButtonProps extends OfClient, Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'children' | 'onClick'> {
  start?: ReactNode;
  end?: ReactNode;
}

/** Starts and ends the call. */
export function CallButton({ client, start = 'Start Call', end = 'End Call', ...rest }: CallButtonProps) {
  const { phase } = useCallState(client);
  const isInCall = phase === 'connecting' || phase === 'connected' || phase === 'reconnecting';
  // A call that fails shows in the state.
  const toggle = () => (isInCall ? client?.disconnect() : void client?.connect().catch(() => {}));
  return <button type="button" {...rest} onClick={toggle}>{isInCall ? end : start}</button>;
}

/** What both said, and the tools that the agent used. */
export function Transcript({ client }: OfClient) {
  const transcript = useTranscript(client);
  return (
    <div className="transcripts" role="log" aria-live="polite">
      {transcript.map((entry) => entry.kind === 'tool' ? (
        <div key={entry.since} className="tool" data-ok={String(entry.ok)}>{entry.name}</div>
      ) : (
        <div key={entry.since} className={`transcript ${entry.role}`} data-final={entry.final} data-interrupted={entry.interrupted}>
          <strong>{entry.role}:</strong> <span dir="auto">{entry.text}</span>
        </div>
      ))}
    </div>
  );
}

const BAR = { blockSize: '100%', minBlockSize: '.25rem', background: 'currentColor', transformOrigin: 'left', transform: 'scaleX(0)' };

/** How loud a side is. Moves without rendering or layout: its child is scaled, in the text's colour. */
export function LevelMeter({ client, side }: OfClient & { side: 'microphone' | 'agent' }) {
  const bar = useRef<HTMLDivElement>(null);
  const { phase } = useCallState(client);
  useEffect(() => {
    // Not a `style` attribute, which a content security policy may forbid in a page that a server has rendered.
    if (bar.current) Object.assign(bar.current.style, BAR);
    if (!client || phase !== 'connected') return;
    let frame = 0;
    const draw = () => {
      if (bar.current) bar.current.style.transform = `scaleX(${client.levels()[side]})`;
      frame = requestAnimationFrame(draw);
    };
    draw();
    return () => cancelAnimationFrame(frame);
  }, [client, side, phase]);
  const label = side === 'agent' ? 'Volume of the agent' : 'Volume of the microphone';
  return (
    <div className="level-meter" role="img" aria-label={label}>
      <div ref={bar} />
    </div>
  );
}

/** Chooses the microphone, also in a call. */
export function DevicePicker({ client, onError }: OfClient & { onError?: (error: Error) => void }) {
  const id = useId();
  const { microphones, chosen, choose } = useMicrophones(client);
  const change = (deviceId: string) => choose(deviceId).catch((error) => onError?.(error));
  return (
    <div className="device-picker">
      <label htmlFor={id}>Microphone</label>
      <select id={id} value={chosen} disabled={microphones.length === 0} onChange={({ target }) => void change(target.value)}>
        {microphones.map(({ deviceId, label }) => <option key={deviceId} value={deviceId}>{label || 'Unnamed'}</option>)}
      </select>
    </div>
  );
}
