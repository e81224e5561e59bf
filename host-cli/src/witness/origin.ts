// How the witness protocol names a log in a path: SHA-256 of its origin, in lower-case hex.

import { toHex, utf8Encode } from "@vouch/shared/bytes";
import { nodeCrypto } from "../crypto";

export const originKey = (origin: string) => toHex(nodeCrypto.sha256(utf8Encode(origin)));
