#!/usr/bin/env node
// The program's committed entry. vouch.cjs, beside it, loads what the build made, and says how
// to make it when nothing is there.

import { start } from "./vouch.cjs";

start();
