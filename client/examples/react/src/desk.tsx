import { CallButton, DevicePicker, LevelMeter, Transcript, useVoiceSession } from 'antiphon-client/react';

const SERVER_URL = import.meta.env.VITE_SERVER_URL ?? 'http://127.0.0.1:8080';

export function Desk({ agentId }: { agentId: string }) {
  const { client, phase, status, error } = useVoiceSession({ serverUrl: SERVER_URL, agentId });
  return (
    <section>
      <p role="status">{error ? `${error.message} ${error.cure}` : phase === 'connected' ? status : phase}</p>
      <CallButton client={client} />
      <LevelMeter client={client} side="agent" />
      <DevicePicker client={client} />
      <Transcript client={client} />
    </section>
  );
}
