#!/usr/bin/env node
// vouch.cjs under its other name, for whoever starts it by a path.

import { start } from "./vouch.cjs";

start();
