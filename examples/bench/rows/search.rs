//! Row `search`: who accessed one patient, asked by an auditor over HTTP and looked up in the index alone.

use std::time::Instant;

use sealtrail::api::message::SearchRequest;
use sealtrail::auditor::batch::BatchOpener;
use sealtrail::auditor::search::{Criteria, search_server};
use sealtrail::base::batch::Header;
use sealtrail::base::hash::from_base64;
use sealtrail::base::limits::MAX_RECORDS_PER_REQUEST;
use sealtrail::base::record::Tag;
use sealtrail::client::Client;
use sealtrail::ledger::find_tagged;
use sealtrail::seal::tag::blind_tag;
use sealtrail::store::{SqliteStore, Store as _};

use super::super::args::Row;
use super::super::context::{Bench, Grown, bar};
use super::super::events::{Events, PLANTED};
use super::super::figures::{Figure, Target, Unit, percentile};
use super::super::program::READERS;
use super::super::{Fallible, check};

const ROW: Row = Row::Search;
/// The searchable field that names the patient.
const FIELD: &str = "resource";
/// Searches, and look-ups, of one run.
const SEARCHES: usize = 5;
const LOOK_UPS: usize = 200;

/// Medians of one run, in seconds.
struct Times {
    whole: f64,
    server: f64,
    look_up: f64,
}

pub fn run(bench: &mut Bench) -> Fallible<()> {
    let (grown, small) = (bench.grown()?, bench.small()?);
    let runs = bench.args.runs;
    let bar = bar("search", runs * 2, "runs");
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for (ledger, all) in [(&grown, &mut here), (&small, &mut there)] {
        for _ in 0..runs {
            all.push(measure(ledger)?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let of = |all: &[Times], f: &dyn Fn(&Times) -> f64| all.iter().map(f).collect::<Vec<f64>>();
    let hits = grown.events.planted(grown.records);
    let beside = format!("ledger of {}", small.records);
    let whole = format!("{hits} hits found, fetched, verified, opened");
    let whole = Figure::new(ROW, "whole", whole, Unit::Seconds, of(&here, &|t| t.whole));
    bench.add(whole.clone().target(Target::AtMost(0.05)));
    bench.add(
        whole
            .renamed("whole/growth")
            .against(&beside, of(&there, &|t| t.whole))
            .target(Target::RatioAtMost(1.1)),
    );
    let look_up =
        Figure::new(ROW, "tags", "tags looked up in the index", Unit::Seconds, of(&here, &|t| t.look_up));
    bench.add(look_up.clone().against_figure("rows/find").target(Target::AtMost(1e-3)));
    bench.add(
        look_up
            .renamed("tags/growth")
            .against(&beside, of(&there, &|t| t.look_up))
            .target(Target::RatioAtMost(1.1)),
    );
    let what = "tags looked up over HTTP, the search itself logged";
    bench.add(Figure::new(ROW, "request", what, Unit::Seconds, of(&here, &|t| t.server)));
    Ok(())
}

fn measure(ledger: &Grown) -> Fallible<Times> {
    let place = &ledger.place;
    let server = place.serve()?;
    let client = check::reader(place, &server)?;
    let (key, admin) = (place.vkey("ledger")?, place.vkey("admin")?);
    let identities = [place.identity(READERS[0])?];
    let hits = ledger.events.planted(ledger.records) as usize;
    let criteria = Criteria {
        fields: vec![(FIELD.to_owned(), PLANTED.to_owned())],
        limit: hits + 1,
        ..Criteria::default()
    };
    let mut whole = Vec::new();
    for _ in 0..SEARCHES {
        let start = Instant::now();
        let found = search_server(&client, &key, &admin, &identities, &criteria)?;
        whole.push(start.elapsed().as_secs_f64());
        let right = |h: &sealtrail::auditor::search::Hit| {
            let event = h.record.content.event()?;
            let number = Events::number_of(event)?;
            Some(event == ledger.events.event(number))
        };
        let rightly = found.hits.iter().filter(|h| right(h) == Some(true)).count();
        if (rightly, found.hits.len(), found.cut) != (hits, hits, false) {
            return Err(
                format!("{} hits, {rightly} of them the events sent, of {hits}", found.hits.len()).into()
            );
        }
    }
    let tag = tag(&client, &identities)?;
    let clauses = vec![vec![tag]];
    let hex = format!("{:016x}", u64::from_be_bytes(tag));
    let mut asked = Vec::new();
    for _ in 0..SEARCHES {
        let request = SearchRequest { all: vec![vec![hex.clone()]], from: 0, limit: MAX_RECORDS_PER_REQUEST };
        let start = Instant::now();
        let found = client.search(&request)?;
        asked.push(start.elapsed().as_secs_f64());
        expect(found.records.len(), hits)?;
    }
    server.stop()?;
    let store = SqliteStore::open_read_only(&place.path("ledger.db"))?;
    let end = store.head()?.ok_or("the ledger is empty")?.records;
    let mut looked_up = Vec::new();
    for _ in 0..LOOK_UPS {
        let start = Instant::now();
        let page = find_tagged(&store, &clauses, 0, end, MAX_RECORDS_PER_REQUEST)?;
        looked_up.push(start.elapsed().as_secs_f64());
        expect(page.records.len(), hits)?;
    }
    let middle = |all: &[f64]| percentile(all, 0.5);
    Ok(Times { whole: middle(&whole), server: middle(&asked), look_up: middle(&looked_up) })
}

/// The tag of the planted patient, as an auditor makes it.
fn tag(client: &Client, identities: &[sealtrail::seal::reader_key::Identity]) -> Fallible<Tag> {
    // The first epoch may be another month's than the planted events'; all of a benchmark's are of one run.
    let epochs = client.epochs(0)?.epochs;
    for epoch in &epochs {
        let header = Header::decode(&from_base64(&epoch.header).ok_or("a header is not base64")?)?;
        let opener = BatchOpener::new(identities, &header, &[])?;
        if let Some((_, secret)) = opener.search_secrets()?.first() {
            return Ok(blind_tag(secret, FIELD, PLANTED.as_bytes()));
        }
    }
    Err("the ledger has no epoch that this reader may search".into())
}

fn expect(found: usize, hits: usize) -> Fallible<()> {
    if found == hits { Ok(()) } else { Err(format!("{found} records of {hits} were named").into()) }
}
