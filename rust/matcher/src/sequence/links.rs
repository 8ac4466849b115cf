//! The lists in which runs stand: those that wait for the same, those of one start row, and start rows in their order.

use std::collections::VecDeque;

use super::index::Slot;
use super::slab::NONE;
use super::state::{Complete, MIXED, Run, SequenceState, Start, Thread, loose_bytes};

impl SequenceState {
    /// Puts a run among those that wait for the same.
    pub(crate) fn link_bucket(&mut self, partition: u32, run: u32) {
        let entry = self.runs.get(run);
        let bucket = if entry.others.is_empty() { entry.thread.wait } else { MIXED };
        let buckets = &mut self.partitions.get_mut(partition).buckets;
        let place = match buckets.iter().position(|(wait, _)| *wait == bucket) {
            Some(place) => place,
            None => {
                buckets.push((bucket, NONE));
                buckets.len() - 1
            }
        };
        let head = std::mem::replace(&mut buckets[place].1, run);
        if head != NONE {
            self.runs.get_mut(head).bucket_prev = run;
        }
        let entry = self.runs.get_mut(run);
        entry.bucket = bucket;
        entry.bucket_prev = NONE;
        entry.bucket_next = head;
    }

    /// Takes a run out of the bucket it is in.
    pub(crate) fn unlink_bucket(&mut self, partition: u32, run: u32) {
        self.unindex(partition, run);
        let entry = self.runs.get(run);
        let (bucket, prev, next) = (entry.bucket, entry.bucket_prev, entry.bucket_next);
        if next != NONE {
            self.runs.get_mut(next).bucket_prev = prev;
        }
        if prev != NONE {
            self.runs.get_mut(prev).bucket_next = next;
            return;
        }
        let buckets = &mut self.partitions.get_mut(partition).buckets;
        if let Some(place) = buckets.iter().position(|(wait, _)| *wait == bucket) {
            if next == NONE {
                buckets.swap_remove(place);
            } else {
                buckets[place].1 = next;
            }
        }
    }

    /// Begins a list of runs at a row.
    pub(crate) fn add_start(&mut self, partition: u32, row: u64, position: u64, time: i64) -> u32 {
        let entry = self.partitions.get(partition);
        let prev = entry.last_start;
        let start = self.starts.insert(Start {
            row,
            position,
            time,
            partition,
            runs: NONE,
            alive: 0,
            prev,
            next: NONE,
            known: VecDeque::new(),
        });
        if prev != NONE {
            self.starts.get_mut(prev).next = start;
        }
        let entry = self.partitions.get_mut(partition);
        entry.last_start = start;
        if prev == NONE {
            entry.first_start = start;
        }
        if entry.first_within == NONE {
            entry.first_within = start;
        }
        start
    }

    /// Adds a run to the list of its start row, in no bucket yet.
    pub(crate) fn add_run(&mut self, start: u32, thread: Thread, others: Vec<Thread>) -> u32 {
        let head = self.starts.get(start).runs;
        self.loose_bytes += loose_bytes(&thread) + others.iter().map(loose_bytes).sum::<usize>();
        let stamp = self.next_stamp();
        let run = self.runs.insert(Run {
            start,
            thread,
            others,
            complete: None,
            bucket: NONE,
            bucket_prev: NONE,
            bucket_next: NONE,
            slot: Slot::Out,
            slot_prev: NONE,
            slot_next: NONE,
            start_prev: NONE,
            start_next: head,
            stamp,
        });
        if head != NONE {
            self.runs.get_mut(head).start_prev = run;
        }
        let entry = self.starts.get_mut(start);
        entry.runs = run;
        entry.alive += 1;
        run
    }

    /// Gives a run the complete one that it would be if nothing preferred came of it.
    pub(crate) fn set_complete(&mut self, run: u32, complete: Complete) {
        let start = self.runs.get(run).start;
        let partition = self.starts.get(start).partition;
        self.partitions.get_mut(partition).complete += 1;
        let before = self.runs.get_mut(run).complete.replace(complete);
        debug_assert!(before.is_none(), "a run has one complete run at most");
    }

    /// Takes it away.
    pub(crate) fn take_complete(&mut self, run: u32) -> Option<Complete> {
        let entry = self.runs.get(run);
        let start = entry.start;
        entry.complete?;
        let partition = self.starts.get(start).partition;
        self.partitions.get_mut(partition).complete -= 1;
        self.runs.get_mut(run).complete.take()
    }

    /// Ends a run that is in no bucket any more, and lets go of what it holds.
    pub(crate) fn end_run(&mut self, run: u32) {
        let entry = self.runs.get_mut(run);
        entry.stamp = 0;
        let (start, prev, next) = (entry.start, entry.start_prev, entry.start_next);
        let others = std::mem::take(&mut entry.others);
        let node = std::mem::replace(&mut entry.thread.node, NONE);
        let loose = loose_bytes(&entry.thread) + others.iter().map(loose_bytes).sum::<usize>();
        entry.thread.registers = None;
        self.loose_bytes -= loose;
        self.release(node);
        for thread in others {
            self.release(thread.node);
        }
        if let Some(complete) = self.take_complete(run) {
            self.release(complete.node);
        }
        if next != NONE {
            self.runs.get_mut(next).start_prev = prev;
        }
        if prev == NONE {
            self.starts.get_mut(start).runs = next;
        } else {
            self.runs.get_mut(prev).start_next = next;
        }
        self.starts.get_mut(start).alive -= 1;
        self.runs.remove(run);
    }

    /// Ends a start row's runs and forgets its matches, and then the row itself.
    pub(crate) fn end_start(&mut self, start: u32) {
        let partition = self.starts.get(start).partition;
        loop {
            let run = self.starts.get(start).runs;
            if run == NONE {
                break;
            }
            self.unlink_bucket(partition, run);
            self.end_run(run);
        }
        while let Some(known) = self.starts.get_mut(start).known.pop_front() {
            self.release(known.node);
            self.partitions.get_mut(partition).known -= 1;
        }
        self.unlink_start(start);
    }

    /// Forgets a start row that nothing is left of.
    pub(crate) fn unlink_start(&mut self, start: u32) {
        let entry = self.starts.get(start);
        let (partition, prev, next) = (entry.partition, entry.prev, entry.next);
        if self.partitions.get(partition).first_within == start {
            self.partitions.get_mut(partition).first_within = next;
        }
        if next != NONE {
            self.starts.get_mut(next).prev = prev;
        } else {
            self.partitions.get_mut(partition).last_start = prev;
        }
        if prev != NONE {
            self.starts.get_mut(prev).next = next;
        } else {
            self.partitions.get_mut(partition).first_start = next;
        }
        self.starts.get_mut(start).partition = NONE;
        self.starts.remove(start);
    }

    /// The rows of a run, first to last, with the places that took them.
    pub(crate) fn members(&self, mut node: u32) -> Vec<(u64, u32)> {
        let mut members = vec![];
        while node != NONE {
            let entry = self.nodes.get(node);
            members.push((entry.row, entry.place));
            node = entry.parent;
        }
        members.reverse();
        members
    }
}
