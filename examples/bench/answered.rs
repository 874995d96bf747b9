//! What a load brought back, and what can be told from it.

/// One request, answered.
#[derive(Clone, Copy)]
pub struct Ack {
    /// When, in seconds from the start.
    pub at: f64,
    /// Seconds from the first byte sent to the last byte received.
    pub took: f32,
    /// Events.
    pub events: u32,
}

/// What came back.
#[derive(Default)]
pub struct Answered {
    /// In the order of the answers.
    pub acks: Vec<Ack>,
    /// Requests that had to be sent again because the server was full.
    pub refused: u64,
    /// Seconds of processor time this process used.
    pub client_cpu: f64,
    /// For each request, the number of its first event and the index of its first record.
    pub placed: Vec<(u64, u64)>,
    /// Why it ended early.
    pub broken: Option<String>,
}

impl Answered {
    /// Events whose receipts came.
    pub fn events(&self) -> u64 {
        self.acks.iter().map(|a| u64::from(a.events)).sum()
    }

    /// Events a second, over everything.
    pub fn rate(&self) -> f64 {
        self.events() as f64 / self.acks.last().map_or(f64::NAN, |a| a.at)
    }

    /// Events a second from the answer that brings the count to `from` to the one that brings it to `to`.
    pub fn rate_between(&self, from: u64, to: u64) -> f64 {
        let time = |wanted: u64| {
            let mut sum = 0;
            let reached = self.acks.iter().find(|a| {
                sum += u64::from(a.events);
                sum >= wanted
            });
            (sum, reached.map_or(f64::NAN, |a| a.at))
        };
        let (a, b) = (if from == 0 { (0, 0.0) } else { time(from) }, time(to));
        (b.0 - a.0) as f64 / (b.1 - a.1)
    }

    /// Longest time without any answer, in seconds.
    pub fn longest_pause(&self) -> f64 {
        let times = std::iter::once(0.0).chain(self.acks.iter().map(|a| a.at));
        times.clone().zip(times.skip(1)).map(|(a, b)| b - a).fold(0.0, f64::max)
    }

    /// Seconds that a share of the requests did not exceed.
    pub fn percentile(&self, share: f64) -> f64 {
        let mut all: Vec<f32> = self.acks.iter().map(|a| a.took).collect();
        all.sort_unstable_by(f32::total_cmp);
        let at = ((all.len().max(1) - 1) as f64 * share).round() as usize;
        all.get(at).map_or(f64::NAN, |t| f64::from(*t))
    }
}
