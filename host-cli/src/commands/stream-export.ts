// vouch stream export FILE --fhir|--csv|--senml: the proved readings of a recording, in forms that others read.
//
//   1. the recording is verified, as `stream verify` does it; refuted: nothing is written
//   2. it is verified again, and what is proved goes out as it comes: nothing is held but a run of frames
//
// Both times the same bytes must come: who appends to the recording meanwhile is not waited for, who changes it is told. The output
// appears whole or not at all, readable by its owner alone, since readings are of a person. spec/fhir-export.md.

import { createHash } from "node:crypto";
import { toHex } from "@vouch/shared/bytes";
import { streamHash } from "@vouch/shared/stream";
import type { Command } from "commander";
import { about, usage } from "../exit";
import type { Io } from "../io";
