#!/usr/bin/env node
/** The deeprt command. */
import { isNodeNewEnough } from './node-version.js';

if (isNodeNewEnough()) await import('./program.js');
