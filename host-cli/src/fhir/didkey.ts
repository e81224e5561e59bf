// An Ed25519 key as did:key, which is a name that proves itself: z ‖ base58btc(ed 01 ‖ key).

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

export function didKey(publicKey: Uint8Array): string {
  let rest = BigInt(`0xed01${Buffer.from(publicKey).toString("hex")}`); // begins with no zero byte, so no 1 in front
  let text = "";
  for (; rest > 0n; rest /= 58n) text = BASE58[Number(rest % 58n)] + text;
  return `did:key:z${text}`;
}
