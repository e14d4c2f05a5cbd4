import { useCallback, useEffect, useState } from 'react';

import type { VoiceAgentClient } from '../src/voice-agent.js';
import { useCallState } from './use-voice-session.js';

export interface Microphones {
  /** Empty until the person has allowed the page to use one. */
  microphones: MediaDeviceInfo[];
  /** The `deviceId` of the one in use; empty for the default one. */
  chosen: string;
  /** Also in a call. Rejects with a `VoiceAgentError`; the last one stays in use then. */
  choose(deviceId: string): Promise<void>;
}

/** The microphones of this machine, as they come and go. */
export function useMicrophones(client: VoiceAgentClient | null): Microphones {
  const [microphones, setMicrophones] = useState<MediaDeviceInfo[]>([]);
  const [chosen, setChosen] = useState('');
  const { phase } = useCallState(client); // with a call, they get names
  useEffect(() => {
    let isCurrent = true;
    const refresh = async () => {
      const devices = (await client?.listMicrophones()) ?? [];
      if (!isCurrent) return;
      setMicrophones(devices);
      setChosen(deviceOf(client));
    };
    void refresh();
    navigator.mediaDevices?.addEventListener('devicechange', refresh);
    return () => {
      isCurrent = false;
      navigator.mediaDevices?.removeEventListener('devicechange', refresh);
    };
  }, [client, phase]);
  const choose = useCallback(async (deviceId: string) => {
    await client?.chooseMicrophone(deviceId);
    setChosen(deviceOf(client));
  }, [client]);
  return { microphones, chosen, choose };
}

function deviceOf(client: VoiceAgentClient | null): string {
  return client?.microphoneId ?? '';
}
