//! Runs as plain data, to be saved and loaded: by partition, so that shards may be others when they are loaded.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::compile::SequenceMatcher;
use super::found::FoundSequences;
use super::grow::membership_hash;
use super::registers::Registers;
use super::slab::NONE;
use super::state::{Complete, Node, Run, SequenceState, Thread};
use super::step::{SequenceLimits, Work};
use super::wait::{START, WaitKey};

/// All runs of a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedRuns {
    waits: Vec<SavedWait>,
    partitions: Vec<SavedPartition>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedWait {
    place: u32,
    targets: Vec<u32>,
    lifted: u32,
}

/// Runs of a key. Rows and times are written as differences, which are short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedPartition {
    key: Vec<u8>,
    position: u64,
    matches: u64,
    seen: Vec<Option<i64>>,
    tail: Vec<u64>,
    /// Rows taken, parents first.
    nodes: Vec<SavedNode>,
    starts: Vec<SavedStart>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedNode {
    /// Less the row of the partition's first start.
    row: u64,
    place: u32,
    /// How many nodes back the one before it is; 0: there is none.
    back: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedStart {
    row: u64,
    position: u64,
    time: i64,
    known: Vec<SavedComplete>,
    runs: Vec<SavedRun>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedComplete {
    node: u32,
    holds: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedRun {
    threads: Vec<SavedThread>,
    complete: Option<SavedComplete>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedThread {
    node: u32,
    wait: u32,
    /// Less those of the start.
    last_position: u64,
    last_time: i64,
    opened: Vec<(i64, u64)>,
}

impl SequenceState {
    /// Adds the runs of this shard to what is saved.
    pub fn save(&self, saved: &mut SavedRuns) {
        let mut waits: HashMap<u32, u32> = HashMap::new();
        let mut keys: Vec<(&[u8], u32)> = self.keys.iter().map(|(key, id)| (&**key, *id)).collect();
        keys.sort_unstable();
        for (key, id) in keys {
            let partition = self.partitions.get(id);
            let mut writer = NodeWriter { state: self, numbers: HashMap::new(), nodes: vec![], base: 0 };
            let mut starts = vec![];
            let mut start = partition.first_start;
            if start != NONE {
                writer.base = self.starts.get(start).row;
            }
            while start != NONE {
                let entry = self.starts.get(start);
                let mut runs = vec![];
                let mut run = entry.runs;
                while run != NONE {
                    let entry: &Run = self.runs.get(run);
                    let mut threads = vec![];
                    for thread in std::iter::once(&entry.thread).chain(&entry.others) {
                        let own = self.starts.get(entry.start);
                        let wait = *waits.entry(thread.wait).or_insert_with(|| {
                            let key = &self.waits.get(thread.wait).key;
                            let (place, targets, lifted) = (key.place, key.targets.clone(), key.lifted);
                            saved.waits.push(SavedWait { place, targets, lifted });
                            saved.waits.len() as u32 - 1
                        });
                        threads.push(SavedThread {
                            node: writer.number(thread.node),
                            wait,
                            last_position: thread.last_position - own.position,
                            last_time: thread.last_time.wrapping_sub(own.time),
                            opened: thread.registers.as_ref().map_or(vec![], |r| r.opened.clone()),
                        });
                    }
                    let complete = entry.complete.map(|complete| writer.complete(complete));
                    runs.push(SavedRun { threads, complete });
                    run = entry.start_next;
                }
                // The list is built from its end.
                runs.reverse();
                let known = entry.known.iter().map(|known| writer.complete(*known)).collect();
                let (row, position, time) = (entry.row, entry.position, entry.time);
                starts.push(SavedStart { row, position, time, known, runs });
                start = entry.next;
            }
            saved.partitions.push(SavedPartition {
                key: key.to_vec(),
                position: partition.position,
                matches: partition.matches,
                seen: partition.seen.clone(),
                tail: partition.tail.clone(),
                nodes: writer.nodes,
                starts,
            });
        }
    }
}

struct NodeWriter<'a> {
    state: &'a SequenceState,
    numbers: HashMap<u32, u32>,
    nodes: Vec<SavedNode>,
    base: u64,
}

impl NodeWriter<'_> {
    fn complete(&mut self, complete: Complete) -> SavedComplete {
        SavedComplete { node: self.number(complete.node), holds: complete.holds }
    }

    fn number(&mut self, node: u32) -> u32 {
        let mut chain = vec![];
        let mut known = node;
        while known != NONE && !self.numbers.contains_key(&known) {
            chain.push(known);
            known = self.state.nodes.get(known).parent;
        }
        for node in chain.into_iter().rev() {
            let entry = self.state.nodes.get(node);
            let number = self.nodes.len() as u32;
            let back = self.numbers.get(&entry.parent).map_or(0, |parent| number - parent);
            self.nodes.push(SavedNode { row: entry.row - self.base, place: entry.place, back });
            self.numbers.insert(node, number);
        }
        self.numbers[&node]
    }
}

impl SequenceMatcher {
    /// Loads runs into shards. `shard_of` says which shard a key belongs to. What runs remember is still to be
    /// [rebuilt](Self::rebuild).
    ///
    /// # Errors
    /// Why the data are no runs of this pattern; the shards are then of no use.
    pub fn load(
        &self,
        saved: SavedRuns,
        shards: &mut [SequenceState],
        shard_of: impl Fn(&[u8]) -> usize,
    ) -> Result<(), String> {
        let keys =
            saved.waits.into_iter().map(|wait| self.checked_wait(wait)).collect::<Result<Vec<_>, _>>()?;
        let waits: Vec<Vec<u32>> = shards
            .iter_mut()
            .map(|shard| keys.iter().map(|key| shard.waits.number(self, key.clone())).collect())
            .collect();
        for partition in saved.partitions {
            let shard = shard_of(&partition.key);
            self.load_partition(partition, &mut shards[shard], &waits[shard])?;
        }
        Ok(())
    }

    fn checked_wait(&self, wait: SavedWait) -> Result<WaitKey, String> {
        let SavedWait { place, targets, lifted } = wait;
        let known = place == START || (place as usize) < self.automaton.positions.len();
        let fits = known
            && !targets.is_empty()
            && (!self.all || targets.len() == 1)
            && targets.windows(2).all(|pair| pair[0] < pair[1])
            && targets.iter().all(|target| (*target as usize) < self.targets(place).len());
        if fits { Ok(WaitKey { place, targets, lifted }) } else { Err("a run waits for nothing".into()) }
    }

    fn load_partition(
        &self,
        saved: SavedPartition,
        state: &mut SequenceState,
        waits: &[u32],
    ) -> Result<(), String> {
        let refuse = |what: &str| Err(format!("{what} that the pattern cannot have"));
        if saved.seen.len() != self.leading.len() || state.keys.contains_key(&*saved.key) {
            return refuse("a key");
        }
        let id = state.partition_of(self, &saved.key);
        state.keeps_tails |= !saved.tail.is_empty();
        let entry = state.partitions.get_mut(id);
        (entry.position, entry.matches) = (saved.position, saved.matches);
        (entry.seen, entry.tail) = (saved.seen, saved.tail);
        let base = saved.starts.first().map_or(0, |start| start.row);
        let mut nodes: Vec<u32> = vec![];
        let mut hashes: Vec<u64> = vec![];
        // The first row of those that lead to it.
        let mut firsts: Vec<u64> = vec![];
        for (number, node) in saved.nodes.iter().enumerate() {
            let row = base.checked_add(node.row);
            let parent = (node.back as usize).checked_sub(1).map(|_| number.checked_sub(node.back as usize));
            let (Some(row), true) = (row, (node.place as usize) < self.automaton.positions.len()) else {
                return refuse("a row");
            };
            let (parent, hash, first) = match parent {
                None => (NONE, 0, row),
                Some(Some(parent)) if state.nodes.get(nodes[parent]).row < row => {
                    (nodes[parent], hashes[parent], firsts[parent])
                }
                Some(_) => return refuse("rows"),
            };
            hashes.push(membership_hash(hash, row, self.variable_of[node.place as usize]));
            firsts.push(first);
            state.hold(parent);
            nodes.push(state.nodes.insert(Node { row, parent, place: node.place, holders: 0 }));
        }
        // A run holds no row from before it began.
        let node_of = |number: u32, start: u64| match firsts.get(number as usize) {
            None => Err("a run without rows"),
            Some(first) if *first < start => Err("a run that begins before its start"),
            Some(_) => Ok(nodes[number as usize]),
        };
        let mut found = FoundSequences::default();
        let mut last: Option<(u64, u64, i64)> = None;
        let mut loose = vec![];
        for start in saved.starts {
            let now = (start.row, start.position, start.time);
            if last.is_some_and(|last| last.0 >= now.0 || last.1 >= now.1 || last.2 > now.2)
                || start.position >= saved.position
            {
                return refuse("start rows");
            }
            last = Some(now);
            let number = state.add_start(id, start.row, start.position, start.time);
            for known in start.known {
                let complete = Complete { node: node_of(known.node, start.row)?, holds: known.holds };
                state.hold(complete.node);
                state.starts.get_mut(number).known.push_back(complete);
                state.partitions.get_mut(id).known += 1;
            }
            for run in start.runs {
                let mut threads: VecDeque<Thread> = VecDeque::new();
                for thread in run.threads {
                    let node = node_of(thread.node, start.row)?;
                    let bounds = self.automaton.bounds.len();
                    let (Some(wait), true) =
                        (waits.get(thread.wait as usize), [0, bounds].contains(&thread.opened.len()))
                    else {
                        return refuse("a wait");
                    };
                    let key = &state.waits.get(*wait).key;
                    let Some(last_position) = start.position.checked_add(thread.last_position) else {
                        return refuse("a place");
                    };
                    if key.place != state.nodes.get(node).place || last_position >= saved.position {
                        return refuse("a wait");
                    }
                    state.hold(node);
                    let needs = bounds > 0 || !self.lookbacks.is_empty() || !self.folds.is_empty();
                    let registers = needs.then(|| {
                        let mut registers = Registers::new(self);
                        if !thread.opened.is_empty() {
                            registers.opened = thread.opened;
                        }
                        Box::new(registers)
                    });
                    threads.push_back(Thread {
                        node,
                        wait: *wait,
                        last_position,
                        last_time: start.time.wrapping_add(thread.last_time),
                        hash: hashes[thread.node as usize],
                        registers,
                    });
                }
                let Some(first) = threads.pop_front() else { return refuse("a run") };
                if self.all && !threads.is_empty() {
                    return refuse("a run");
                }
                let added = state.add_run(number, first, threads.into());
                if let Some(complete) = run.complete {
                    let node = node_of(complete.node, start.row)?;
                    state.hold(node);
                    state.set_complete(added, Complete { node, holds: complete.holds });
                }
                loose.push(added);
            }
        }
        if nodes.iter().any(|node| state.nodes.get(*node).holders == 0) {
            return refuse("a row");
        }
        let mut work = Work::new(self, state, &mut found, SequenceLimits::default());
        work.partition = id;
        for run in loose {
            work.state.link_bucket(id, run);
            work.set_timer(run);
        }
        work.sleep();
        Ok(())
    }
}
