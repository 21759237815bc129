/** fast-check with the seed of the run (`npm test` sets LKM_SEED): a property that fails, fails again. */
import fc from 'fast-check';

const { LKM_SEED } = process.env;
if (LKM_SEED !== undefined) fc.configureGlobal({ seed: Number(LKM_SEED) });

export default fc;
