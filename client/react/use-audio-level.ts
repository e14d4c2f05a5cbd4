import { useEffect, useState } from 'react';

import type { VoiceAgentClient } from '../src/voice-agent.js';
import { useCallState } from './use-voice-session.js';

const EVERY_MS = 50;

/** How loud a side is, from 0 to 1, twenty times a second. `<LevelMeter>` needs no render for that. */
export function useAudioLevel(client: VoiceAgentClient | null, side: 'microphone' | 'agent'): number {
  const [level, setLevel] = useState(0);
  const isConnected = useCallState(client).phase === 'connected';
  useEffect(() => {
    if (!client || !isConnected) return;
    const timer = setInterval(() => setLevel(client.levels()[side]), EVERY_MS);
    return () => {
      clearInterval(timer);
      setLevel(0);
    };
  }, [client, side, isConnected]);
  return level;
}
