//! Random choices that follow from a seed, and the seeds of a run.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The seeds to run: those that once found something, and as many fresh ones as `count` says; or the one in `SEALTRAIL_TEST_SEED`
/// alone. `SEALTRAIL_TEST_COUNT` takes the place of `count`.
pub fn seeds(permanent: &[u64], count: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|v: String| v.parse::<u64>().expect("a number"));
    if let Some(seed) = number("SEALTRAIL_TEST_SEED") {
        return vec![seed];
    }
    let count = number("SEALTRAIL_TEST_COUNT").unwrap_or(count);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut fresh = Random::new(now);
    // Short ones are easier to type.
    permanent.iter().copied().chain((0..count).map(|_| fresh.next() >> 32)).collect()
}
