//! The events of the benchmark: JSON of exactly 800 bytes and twenty fields, five of which the default policy makes
//! searchable (actor, resource, action, result, address). An event is a function of the seed and its number, so that
//! whoever opens a record can make the event again and compare.
//!
//! The distribution: 1,000,000 patients of whom few are seen often (Zipf-Mandelbrot, exponent 1, shift 1,000: the most
//! seen patient has one event in 6,900); 5,000 users on 120 wards, the busiest tenth doing a third of the work (a
//! uniform number squared), each with a work station of their own; ten actions of unequal frequency; one event in 32
//! denied. Times advance by 86 ms an event, about a million events a day. One planted patient has an event every so
//! many numbers, for the search.

use sealtrail::base::clock::Timestamp;

/// Bytes of one event.
pub const EVENT_BYTES: usize = 800;
/// Blind tags that the default policy makes of one event.
pub const TAGS: usize = 5;
/// The patient whose events are searched for.
pub const PLANTED: &str = "patient-9999999";

const PATIENTS: f64 = 1_000_000.0;
const SHIFT: f64 = 1000.0;
const USERS: u64 = 5000;
const WARDS: u64 = 120;
const MILLIS_PER_EVENT: u64 = 86;
const DAY_MILLIS: u64 = 86_400_000;
/// 2026-11-01T00:00:00Z.
const START_MILLIS: u64 = 1_793_491_200_000;
const DAYS: u64 = 800;

/// Event type, action and section of the record, with weights that sum to 64.
const ACTIONS: [(u64, &str, &str, &str); 10] = [
    (22, "record_access", "read", "medication"),
    (10, "record_access", "read", "laboratory"),
    (8, "record_search", "search", "demographics"),
    (7, "record_change", "update", "vital-signs"),
    (5, "record_change", "create", "progress-note"),
    (4, "order", "prescribe", "medication"),
    (3, "order", "order", "imaging"),
    (2, "record_export", "export", "discharge-summary"),
    (2, "record_print", "print", "discharge-summary"),
    (1, "break_glass", "emergency-access", "psychiatry"),
];
const ROLES: [&str; 5] =
    ["nurse-practitioner", "physician", "pharmacist", "registration-clerk", "ward-secretary"];
const FIRST: [&str; 8] = ["Amara", "Jonas", "Mei", "Fatima", "Lucas", "Priya", "Olga", "Mateo"];
const LAST: [&str; 8] = ["Okafor", "Lindqvist", "Chen", "Haddad", "Moreau", "Raman", "Petrova", "Alvarez"];
/// Fills up an event; where it starts varies with the event.
const NOTE: &str = "Opened from the ward list after hand-over; the chart was reviewed with the patient and the family, current \
    medication was compared with the discharge letter, allergies were confirmed, and the plan of care was discussed with \
    the physician on call before the next round. No changes were made to the standing orders, and the observation chart \
    was left with the night shift for another check of blood pressure and temperature. ";

/// Makes events.
pub struct Events {
    seed: u64,
    planted_every: u64,
    /// The members of each user's `actor`, ready written.
    users: Vec<String>,
    /// For each of 64 equal shares, the index of its action.
    shares: Vec<usize>,
    dates: Vec<String>,
    note: String,
}

/// A well mixed number (SplitMix64).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// From 0 to below 1.
fn unit(n: u64) -> f64 {
    (n >> 11) as f64 / (1_u64 << 53) as f64
}

fn digits(out: &mut Vec<u8>, mut n: u64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    for place in out[start..].iter_mut().rev() {
        *place = b'0' + (n % 10) as u8;
        n /= 10;
    }
}

fn hex(out: &mut Vec<u8>, n: u64) {
    let digit = |shift: u64| b"0123456789abcdef"[(n >> shift & 15) as usize];
    out.extend((0..16_u64).rev().map(|place| digit(place * 4)));
}

impl Events {
    /// Events of this seed; every `planted_every`th is about the planted patient.
    pub fn new(seed: u64, planted_every: u64) -> Events {
        let date = |day| {
            let millis = START_MILLIS + day * DAY_MILLIS;
            Timestamp::from_millis(millis as i64).map(Timestamp::date).unwrap_or_default()
        };
        let shares = ACTIONS.iter().enumerate().flat_map(|(i, a)| std::iter::repeat_n(i, a.0 as usize));
        Events {
            seed,
            planted_every: planted_every.max(1),
            users: (0..USERS).map(|u| user(mix(seed ^ u), u)).collect(),
            shares: shares.collect(),
            dates: (0..DAYS).map(date).collect(),
            note: NOTE.repeat(3),
        }
    }

    /// Every how many-th event is about the planted patient.
    pub fn planted_every(&self) -> u64 {
        self.planted_every
    }

    /// How many of the events `0..count` are about the planted patient.
    pub fn planted(&self, count: u64) -> u64 {
        count.div_ceil(self.planted_every)
    }

    /// Appends event number `number`.
    pub fn write(&self, number: u64, out: &mut Vec<u8>) {
        let start = out.len();
        let one = mix(self.seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let two = mix(one);
        let (_, kind, action, section) = ACTIONS[self.shares[(two & 63) as usize]];
        let denied = two >> 6 & 31 == 0;
        let user = (unit(mix(two)).powi(2) * USERS as f64) as usize;
        let millis = number * MILLIS_PER_EVENT;
        let of_day = millis % DAY_MILLIS;
        let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
        put("{\"event_id\":\"evt-");
        digits(out, number, 12);
        out.extend_from_slice(b"\",\"timestamp\":\"");
        out.extend_from_slice(self.dates[(millis / DAY_MILLIS % DAYS) as usize].as_bytes());
        for (lead, value, width) in [
            (b'T', of_day / 3_600_000, 2),
            (b':', of_day / 60_000 % 60, 2),
            (b':', of_day / 1000 % 60, 2),
            (b'.', of_day % 1000, 3),
        ] {
            out.push(lead);
            digits(out, value, width);
        }
        let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
        put("Z\",\"event_type\":\"");
        put(kind);
        put("\",\"application\":{\"name\":\"ehr-web\",\"version\":\"2026.11.3\"},\"actor\":{");
        put(&self.users[user]);
        put("},\"resource\":{\"type\":\"Patient\",\"id\":\"");
        if number.is_multiple_of(self.planted_every) {
            put(PLANTED);
        } else {
            let rank = SHIFT * ((PATIENTS / SHIFT + 1.0).powf(unit(one)) - 1.0);
            put("patient-");
            // Neighbours in rank are not neighbours in number.
            digits(out, (rank as u64).wrapping_mul(7919) % PATIENTS as u64, 7);
        }
        let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
        put("\",\"section\":\"");
        put(section);
        put("\"},\"action\":\"");
        put(action);
        put(if denied { "\",\"result\":\"denied" } else { "\",\"result\":\"success" });
        put(if two >> 11 & 7 == 0 { "\",\"purpose\":\"operations" } else { "\",\"purpose\":\"treatment" });
        put("\",\"request_id\":\"");
        hex(out, mix(one ^ 1));
        hex(out, two);
        out.extend_from_slice(b"\",\"note\":\"");
        let room = (start + EVENT_BYTES - 2).saturating_sub(out.len());
        let from = (two >> 20) as usize % NOTE.len();
        out.extend_from_slice(&self.note.as_bytes()[from..from + room]);
        out.extend_from_slice(b"\"}");
    }

    /// Event number `number` alone.
    pub fn event(&self, number: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(EVENT_BYTES);
        self.write(number, &mut out);
        out
    }

    /// The number of an event, as it says itself.
    pub fn number_of(event: &[u8]) -> Option<u64> {
        let digits = event.get(17..29)?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

fn user(random: u64, number: u64) -> String {
    let ward = random % WARDS;
    let (first, last) = (FIRST[(random >> 8) as usize % 8], LAST[(random >> 16) as usize % 8]);
    let role = ROLES[(random >> 24) as usize % ROLES.len()];
    let station = random >> 32 & 63;
    format!(
        "\"user_id\":\"practitioner-{number:05}\",\"display\":\"{last}, {first}\",\"role\":\"{role}\",\
         \"department\":\"ward-{ward:03}\",\"ip_address\":\"10.{}.{ward}.{}\",\"session_id\":\"{:016x}{:016x}\",\
         \"device\":\"ws-ward-{ward:03}-{station:02}\"",
        number / 250,
        number % 250 + 1,
        mix(random ^ 2),
        mix(random ^ 3),
    )
}
