//! Following a server's answers page by page. A server is believed in nothing: it must get on with every page, and come to an end.

/// Why a server's pages are followed no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PageError {
    /// The next page begins where this one did, or before its end.
    #[error(
        "it says to go on at {next}, which is not behind what it has already told (up to {told}): it would never end"
    )]
    NoProgress {
        /// Where the server wants to go on.
        next: u64,
        /// The first place not told yet.
        told: u64,
    },
    /// Too many.
    #[error("there is still more after {0} pages; narrow the question, or sync a vault and ask that")]
    TooMany(usize),
}

/// Counts the pages of one question.
pub(super) struct Pages {
    taken: usize,
    most: usize,
}

impl Pages {
    /// At most `most` pages.
    pub(super) fn new(most: usize) -> Pages {
        Pages { taken: 0, most }
    }

    /// Where to go on after a page that ends before `told`, which is beyond where the page began: a page may be empty, and
    /// still gets on. `None` at the end.
    pub(super) fn after(&mut self, told: u64, next: Option<u64>) -> Result<Option<u64>, PageError> {
        self.taken += 1;
        match next {
            None => Ok(None),
            Some(next) if next < told => Err(PageError::NoProgress { next, told }),
            Some(_) if self.taken >= self.most => Err(PageError::TooMany(self.most)),
            Some(next) => Ok(Some(next)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_be_followed_for_ever() {
        let mut pages = Pages::new(3);
        assert_eq!(pages.after(2, Some(2)), Ok(Some(2)));
        assert_eq!(pages.after(8, Some(9)), Ok(Some(9)));
        assert_eq!(pages.after(10, Some(10)), Err(PageError::TooMany(3)));

        // The last page allowed may be the last one there is.
        let mut pages = Pages::new(1);
        assert_eq!(pages.after(1, None), Ok(None));

        let mut pages = Pages::new(9);
        assert_eq!(pages.after(5, Some(4)), Err(PageError::NoProgress { next: 4, told: 5 }));
    }
}
