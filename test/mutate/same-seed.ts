/** Random tests try the same values for every mutant, and do not look for smaller ones: one that fails is enough. */
import fc from 'fast-check';

fc.configureGlobal({ seed: 20_261_129, endOnFailure: true });
