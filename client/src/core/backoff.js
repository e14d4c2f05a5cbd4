/** Spreads the attempts of many clients that lost the same server. `random` is in [0, 1). */
export function jittered(/** @type {number} */ ms, /** @type {number} */ random) {
  return ms * (0.75 + random / 2);
}
