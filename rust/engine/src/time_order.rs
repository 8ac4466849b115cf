//! The order of time of rows of which few come behind a later one, as in streams: stretches of rows as they came, each with a late one
//! behind it. Columns are read so, stretch by stretch: no row is looked up by its number, and nothing is written down for every row.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, downcast_primitive_array};
use cepheid_event::ascending;

/// Of late rows there are at most one in so many; where there are more, all rows are sorted.
const LATE_AT_MOST: usize = 4;

/// So many late rows are sorted by digits, of which there are so many: what is counted of each stays at hand.
const BY_DIGITS_MIN: usize = 1 << 11;
const DIGITS: usize = 1 << 11;

/// So many rows are looked at before those of them that are late are put to the others: as many as a byte counts.
const LOOKED_AT: usize = u8::MAX as usize;

/// Room for so many late rows is made before there is one, in tables of many rows.
const ROOM_MAX: usize = 1 << 16;

/// Values that are copied together, whether all are of a stretch or not: most stretches are no longer, and to ask how long each is
/// costs more.
const COPIED: usize = 16;

/// Which row stands where in order of time; those of one time as they came.
#[derive(Debug)]
pub(crate) enum TimeOrder {
    AsTheyCame,
    Stretches(Stretches),
    /// Numbers of the rows, in order.
    Rows(Vec<u32>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Stretches {
    /// In order; one more for the end.
    all: Vec<Stretch>,
    /// The late rows, in order, and their times.
    late: Vec<u32>,
    late_times: Vec<i64>,
    rows: usize,
}

/// Rows that follow each other, perhaps none, and perhaps a late one behind them.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// Where in the order it begins.
    begin: u32,
    /// Its first row.
    row: u32,
    /// How many late rows there are before it: one more before the next if it has one behind it.
    late: u32,
}

impl TimeOrder {
    /// Of rows of these times.
    ///
    /// Late rows alone are sorted, and find their places between the others.
    ///
    /// Cost: O(rows + late log rows); O(rows log rows) where many are late, or one is dated far ahead. Space: 36 bytes a late row, and 28 more while they are sorted.
    pub(crate) fn of(times: &[i64]) -> Self {
        // Room for some, untouched until one is: to make it anew over and again costs more.
        let mut late: Vec<(i64, u32)> = Vec::with_capacity(ROOM_MAX.min(times.len() / 10));
        let in_order = ascending(times);
        let mut greatest = in_order.checked_sub(1).map_or(i64::MIN, |last| times[last]);
        let (mut first, mut late_of_some) = (in_order, [0_u8; LOOKED_AT + 1]);
        for some in times[in_order..].chunks(LOOKED_AT) {
            let mut found = 0_u8;
            for (row, time) in (0..u8::MAX).zip(some) {
                // Written for every row, and over again if this one is not late: which one is, is as good as random.
                late_of_some[usize::from(found)] = row;
                found += u8::from(*time < greatest);
                greatest = greatest.max(*time);
            }
            let found = &late_of_some[..usize::from(found)];
            late.extend(
                found.iter().map(|row| (some[usize::from(*row)], (first + usize::from(*row)) as u32)),
            );
            first += some.len();
            if late.len() > times.len().div_ceil(LATE_AT_MOST) {
                let mut order: Vec<u32> = (0..times.len() as u32).collect();
                order.sort_by_key(|row| times[*row as usize]);
                return Self::Rows(order);
            }
        }
        if late.is_empty() { Self::AsTheyCame } else { Self::Stretches(Stretches::new(times, late)) }
    }
}

impl Stretches {
    /// `late`: times and numbers of the rows that came behind a later one, as they came.
    fn new(times: &[i64], mut late: Vec<(i64, u32)>) -> Self {
        let ends: Vec<u32> = late.iter().map(|(_, row)| *row).chain([times.len() as u32]).collect();
        sort_late(&mut late, times.len());
        let mut all = Vec::with_capacity(late.len() * 2 + 2);
        let (mut place, mut row, mut passed) = (0, 0, 0);
        for end in ends {
            while row < end
                && let Some((time, _)) = late.get(passed)
                && *time < times[end as usize - 1]
            {
                // Rows of its own time that are not late stood before it.
                let stretch = &times[row as usize..end as usize];
                let before = stretch.iter().take_while(|other| *other <= time).count() as u32;
                all.push(Stretch { begin: place, row, late: passed as u32 });
                place += before + 1;
                row += before;
                passed += 1;
            }
            all.push(Stretch { begin: place, row, late: passed as u32 });
            place += end - row;
            row = end + 1;
        }
        debug_assert_eq!(passed, late.len(), "a row before a late one is of a later time");
        all.push(Stretch { begin: place, row: 0, late: passed as u32 });
        let (late_times, late) = late.into_iter().unzip();
        Self { all, late, late_times, rows: times.len() }
    }

    /// The stretches that some places are in; at least one follows.
    fn over(&self, places: &Range<usize>) -> &[Stretch] {
        let first = self.all.partition_point(|stretch| stretch.begin as usize <= places.start);
        let end = first + self.all[first..].partition_point(|stretch| (stretch.begin as usize) < places.end);
        &self.all[first.saturating_sub(1)..(end + 1).min(self.all.len())]
    }

    /// The row at a place.
    pub(crate) fn row(&self, place: usize) -> usize {
        let next = self.all.partition_point(|stretch| stretch.begin as usize <= place);
        self.row_at(place as u32, &self.all[next - 1], &self.all[next]) as usize
    }

    /// The row at a place of a stretch.
    fn row_at(&self, place: u32, stretch: &Stretch, next: &Stretch) -> u32 {
        let is_late = place + 1 == next.begin && stretch.late < next.late;
        if is_late { self.late[stretch.late as usize] } else { stretch.row + (place - stretch.begin) }
    }

    /// The rows at some places.
    pub(crate) fn rows(&self, places: Range<usize>) -> Vec<u32> {
        let mut rows = Vec::with_capacity(places.len());
        for own in self.over(&places).windows(2) {
            let begin = own[0].begin.max(places.start as u32);
            let end = own[1].begin.min(places.end as u32);
            rows.extend((begin..end).map(|place| self.row_at(place, &own[0], &own[1])));
        }
        rows
    }

    /// The times of the rows at some places, those of all rows being given as they came.
    pub(crate) fn times(&self, of_rows: &[i64], places: Range<usize>) -> Vec<i64> {
        let stretches = self.over(&places);
        self.copied(stretches, of_rows, &self.late_times[late_of(stretches)], places)
    }

    /// The values of the rows at some places.
    pub(crate) fn values<T: Copy>(&self, of_rows: &[T], places: Range<usize>) -> Vec<T> {
        let stretches = self.over(&places);
        // They are far from the others, so that each is waited for: they are read at once, and not one after the other.
        let of_late = self.late[late_of(stretches)].iter().map(|row| of_rows[*row as usize]);
        self.copied(stretches, of_rows, &of_late.collect::<Vec<_>>(), places)
    }

    /// The values at some places that these stretches are over. `of_late`: those of their late rows.
    fn copied<T: Copy>(
        &self,
        stretches: &[Stretch],
        of_rows: &[T],
        of_late: &[T],
        places: Range<usize>,
    ) -> Vec<T> {
        debug_assert_eq!(of_rows.len(), self.rows, "one for each row");
        let late = late_of(stretches).start;
        let mut values = Vec::with_capacity(places.len() + COPIED);
        for own in stretches.windows(2) {
            let (stretch, next) = (&own[0], &own[1]);
            let row = stretch.row as usize;
            let is_whole = places.start <= stretch.begin as usize && next.begin as usize <= places.end;
            let is_late = (next.late - stretch.late) as usize;
            let rows = (next.begin - stretch.begin) as usize - is_late;
            if is_whole && row + rows + COPIED <= of_rows.len() {
                let end = values.len() + rows;
                // What is too much goes again.
                values.extend_from_slice(&of_rows[row..row + COPIED]);
                let mut copied = COPIED;
                while copied < rows {
                    values.extend_from_slice(&of_rows[row + copied..row + copied + COPIED]);
                    copied += COPIED;
                }
                values.truncate(end);
                if let Some(value) = of_late.get(stretch.late as usize - late) {
                    values.push(*value);
                }
                values.truncate(end + is_late);
            } else {
                let (begin, end) =
                    (stretch.begin.max(places.start as u32), next.begin.min(places.end as u32));
                values.extend((begin..end).map(|place| of_rows[self.row_at(place, stretch, next) as usize]));
            }
        }
        values
    }

    /// The same of an array, if it is of numbers or times without NULLs.
    pub(crate) fn array(&self, of_rows: &dyn Array, places: Range<usize>) -> Option<ArrayRef> {
        fn values<T: ArrowPrimitiveType>(
            stretches: &Stretches,
            of_rows: &PrimitiveArray<T>,
            places: Range<usize>,
        ) -> ArrayRef {
            let values = stretches.values(of_rows.values(), places);
            let array = PrimitiveArray::<T>::new(values.into(), None);
            Arc::new(array.with_data_type(of_rows.data_type().clone()))
        }
        if of_rows.null_count() > 0 {
            return None;
        }
        downcast_primitive_array!(
            of_rows => Some(values(self, of_rows, places)),
            _ => None
        )
    }
}

/// Which of the late rows stand behind stretches, the last of which is not asked about.
fn late_of(stretches: &[Stretch]) -> Range<usize> {
    let late = |stretch: Option<&Stretch>| stretch.map_or(0, |stretch| stretch.late as usize);
    late(stretches.first())..late(stretches.last())
}

/// Sorts times, each with its row among so many, in order of which they stand. Where both fit into one number, as they do unless times
/// lie ages apart, numbers are sorted: in half the time, and many of them by digits.
fn sort_late(late: &mut [(i64, u32)], rows: usize) {
    let row_bits = usize::BITS - rows.leading_zeros();
    let least = late.iter().map(|(time, _)| *time).min().unwrap_or(0);
    let greatest = late.iter().map(|(time, _)| *time).max().unwrap_or(0);
    if greatest.abs_diff(least).leading_zeros() < row_bits {
        late.sort_unstable();
        return;
    }
    let mut numbers: Vec<u64> =
        late.iter().map(|(time, row)| time.abs_diff(least) << row_bits | u64::from(*row)).collect();
    if numbers.len() < BY_DIGITS_MIN {
        numbers.sort_unstable();
    } else {
        numbers = sorted_by_digits(numbers, row_bits);
    }
    for (late, number) in late.iter_mut().zip(numbers) {
        *late = (least + (number >> row_bits) as i64, (number & ((1 << row_bits) - 1)) as u32);
    }
}

/// Numbers sorted by all but their lowest bits, digit by digit from the last on; such as differ in nothing else stay as they stand
/// (Knuth, *The Art of Computer Programming* 3, 5.2.5).
fn sorted_by_digits(mut numbers: Vec<u64>, lowest_bits: u32) -> Vec<u64> {
    let greatest = numbers.iter().max().copied().unwrap_or(0);
    let mut sorted = vec![0; numbers.len()];
    let mut shift = lowest_bits;
    while greatest.checked_shr(shift).is_some_and(|left| left > 0) {
        let digit = |number: &u64| (number >> shift) as usize % DIGITS;
        let mut ends = [0_u32; DIGITS];
        numbers.iter().for_each(|number| ends[digit(number)] += 1);
        let mut places = 0;
        for end in &mut ends {
            places += *end;
            *end = places;
        }
        for number in numbers.iter().rev() {
            let end = &mut ends[digit(number)];
            *end -= 1;
            sorted[*end as usize] = *number;
        }
        std::mem::swap(&mut numbers, &mut sorted);
        shift += DIGITS.ilog2();
    }
    numbers
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float32Type, TimestampSecondType};
    use arrow_array::{Float32Array, StringArray, TimestampSecondArray};

    use cepheid_testkit::SplitMix64;

    use super::*;

    /// The rows at all places; `None`: they came in order.
    fn order_of(times: &[i64]) -> Option<Vec<u32>> {
        match TimeOrder::of(times) {
            TimeOrder::AsTheyCame => None,
            TimeOrder::Stretches(stretches) => Some(stretches.rows(0..times.len())),
            TimeOrder::Rows(rows) => Some(rows),
        }
    }

    #[test]
    fn late_rows_are_sorted_by_digits_as_they_are_without() {
        let mut random = SplitMix64::new(3);
        let mut cases = 0;
        for span in [1, 2, 1_000, 1 << 11, 1 << 23, 1 << 40, 1 << 46, 1 << 60] {
            for count in [BY_DIGITS_MIN - 1, BY_DIGITS_MIN, 5_000] {
                let time = |random: &mut SplitMix64| random.below(span) as i64 - (span / 2) as i64;
                let mut late: Vec<(i64, u32)> =
                    (0..count).map(|row| (time(&mut random), row as u32 * 3)).collect();
                let mut expected = late.clone();
                expected.sort_unstable();
                sort_late(&mut late, count * 3);
                assert_eq!(late, expected, "{span} {count}");
                cases += 1;
            }
        }
        assert_eq!(cases, 24);
    }

    #[test]
    fn rows_that_come_late_are_put_where_sorting_puts_them() {
        let mut seed = 7_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let (mut cases, mut parts) = (0, 0);
        for late_in_a_hundred in [0, 1, 5, 20, 40, 100] {
            for rows in [0, 1, 2, 5, 40, 700] {
                for step in [0, 1, 3] {
                    let time = |row: u64| {
                        let late = if random(100) < late_in_a_hundred { random(30) } else { 0 };
                        (row * step / 2) as i64 - late as i64
                    };
                    let times: Vec<i64> = (0..rows).map(time).collect();
                    let mut sorted: Vec<u32> = (0..rows as u32).collect();
                    sorted.sort_by_key(|place| times[*place as usize]);
                    let expected = (!times.is_sorted()).then(|| sorted.clone());
                    assert_eq!(order_of(&times), expected, "{late_in_a_hundred} {rows} {step}");
                    cases += 1;
                    let TimeOrder::Stretches(stretches) = TimeOrder::of(&times) else { continue };
                    // Any places in between, as numbers of rows, as values, and one by one.
                    for _ in 0..20 {
                        let from = random(rows) as usize;
                        let places = from..from + 1 + random(rows - from as u64) as usize;
                        let own = &sorted[places.clone()];
                        assert_eq!(stretches.rows(places.clone()), own);
                        let of_own: Vec<i64> = own.iter().map(|row| times[*row as usize]).collect();
                        assert_eq!(stretches.values(&times, places.clone()), of_own);
                        assert_eq!(stretches.times(&times, places.clone()), of_own);
                        assert_eq!(stretches.row(from), own[0] as usize);
                        parts += 1;
                    }
                    assert_eq!(stretches.values(&times, 0..0), [0_i64; 0]);
                }
            }
        }
        assert_eq!(cases, 108);
        assert_eq!(parts, 420);
        // One row is dated far ahead, and all after it come behind it.
        let ahead = [5, 1_000, 6, 7, 8, 9, 3];
        assert_eq!(order_of(&ahead).expect("late rows"), [6, 0, 2, 3, 4, 5, 1]);
        // Late ones lie further apart than one number holds.
        let apart = [0, 10, 20, 30, 40, i64::MIN, 50, i64::MAX, i64::MAX - 1, 60];
        assert_eq!(order_of(&apart).expect("late rows"), [5, 0, 1, 2, 3, 4, 6, 9, 8, 7]);
    }

    #[test]
    fn arrays_of_numbers_and_times_are_read_by_stretches_and_others_are_not() {
        let TimeOrder::Stretches(stretches) = TimeOrder::of(&[0, 10, 20, 5, 30]) else {
            panic!("one is late")
        };
        let floats = Float32Array::from(vec![0.5, 1.5, 2.5, 3.5, 4.5]);
        let read = stretches.array(&floats, 0..5).expect("numbers");
        assert_eq!(read.as_primitive::<Float32Type>().values(), &[0.5, 3.5, 1.5, 2.5, 4.5]);
        let times = TimestampSecondArray::from(vec![0, 1, 2, 3, 4]).with_timezone("Europe/Paris");
        let read = stretches.array(&times, 1..4).expect("times");
        assert_eq!(read.data_type(), times.data_type());
        assert_eq!(read.as_primitive::<TimestampSecondType>().values(), &[3, 1, 2]);
        let with_null = Float32Array::from(vec![Some(0.5), None, None, None, None]);
        assert!(stretches.array(&with_null, 0..5).is_none());
        assert!(stretches.array(&StringArray::from(vec!["a"; 5]), 0..5).is_none());
    }
}
