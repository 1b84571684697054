//! Packet ids of QoS 1 messages on their way to a client, acknowledged in any order.

use std::collections::BTreeSet;

#[derive(Debug)]
pub(crate) struct Window {
    in_use: BTreeSet<u16>,
    last: u16,
    max: u16,
}

impl Window {
    pub(crate) fn new(max: u16) -> Self {
        Self { in_use: BTreeSet::new(), last: 0, max }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.in_use.len() >= usize::from(self.max)
    }

    /// A packet id that is not in use, never 0; nothing if the window is full.
    pub(crate) fn take(&mut self) -> Option<u16> {
        if self.is_full() {
            return None;
        }
        // A window that is not full has a free id, so this ends.
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if self.in_use.insert(self.last) {
                return Some(self.last);
            }
        }
    }

    /// Frees an id; one that is not in use is no matter, as the client may repeat itself.
    pub(crate) fn release(&mut self, pkid: u16) {
        self.in_use.remove(&pkid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_never_zero_nor_in_use_and_acknowledged_in_any_order() {
        let mut window = Window::new(3);
        assert_eq!(
            [window.take(), window.take(), window.take(), window.take()],
            [Some(1), Some(2), Some(3), None]
        );
        window.release(2);
        window.release(2);
        window.release(9);
        assert_eq!([window.take(), window.take()], [Some(4), None]);
        window.last = u16::MAX;
        window.release(3);
        assert_eq!(window.take(), Some(2), "0 is skipped, and 1 is in use");
    }

    #[test]
    fn the_largest_window_fills_and_ends() {
        let mut window = Window::new(u16::MAX);
        assert!((0..u16::MAX).all(|_| window.take().is_some()));
        assert_eq!(window.take(), None);
    }
}
