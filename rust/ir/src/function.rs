//! The scalar and aggregate functions that an expression can name.

use serde::{Deserialize, Serialize};

macro_rules! functions {
    ($(#[$enum_doc:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal $(| $alias:literal)*, $min:literal ..= $max:literal;)* }) => {
        $(#[$enum_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every function, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Finds a function by its name or an alias of it, without regard to case.
            pub fn from_name(name: &str) -> Option<Self> {
                let name = name.to_ascii_lowercase();
                match name.as_str() {
                    $($text $(| $alias)* => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The name, in lower case.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// Fewest and most arguments.
            pub fn arity(self) -> (usize, usize) {
                match self {
                    $(Self::$variant => ($min, $max),)*
                }
            }
        }
    };
}

functions! {
    /// Scalar functions. NULL in, NULL out, unless said otherwise.
    Function {
        /// `abs(x)`; the type of `x`; overflow is an error.
        Abs = "abs", 1..=1;
        /// `ceil(x)`: least integer not below; the type of `x`.
        Ceil = "ceil" | "ceiling", 1..=1;
        /// `floor(x)`: greatest integer not above; the type of `x`.
        Floor = "floor", 1..=1;
        /// `round(x [, digits])`: half away from zero; the type of `x`.
        Round = "round", 1..=2;
        /// `truncate(x)`: towards zero.
        Truncate = "truncate" | "trunc", 1..=1;
        /// `sign(x)`: -1, 0 or 1, in the type of `x`.
        Sign = "sign", 1..=1;
        /// `sqrt(x)`: float64; NaN for negative `x`.
        Sqrt = "sqrt", 1..=1;
        /// `cbrt(x)`: float64.
        Cbrt = "cbrt", 1..=1;
        /// `exp(x)`: float64.
        Exp = "exp", 1..=1;
        /// `ln(x)`: float64.
        Ln = "ln", 1..=1;
        /// `log2(x)`: float64.
        Log2 = "log2", 1..=1;
        /// `log10(x)`: float64.
        Log10 = "log10", 1..=1;
        /// `log(base, x)`: float64.
        Log = "log", 2..=2;
        /// `power(x, y)`: float64.
        Power = "power" | "pow", 2..=2;
        /// `mod(x, y)`: as `x % y`.
        Mod = "mod", 2..=2;
        /// `sin(x)`: float64, radians.
        Sin = "sin", 1..=1;
        /// `cos(x)`: float64, radians.
        Cos = "cos", 1..=1;
        /// `tan(x)`: float64, radians.
        Tan = "tan", 1..=1;
        /// `asin(x)`: float64, radians.
        Asin = "asin", 1..=1;
        /// `acos(x)`: float64, radians.
        Acos = "acos", 1..=1;
        /// `atan(x)`: float64, radians.
        Atan = "atan", 1..=1;
        /// `atan2(y, x)`: float64, radians.
        Atan2 = "atan2", 2..=2;
        /// `degrees(x)`: float64.
        Degrees = "degrees", 1..=1;
        /// `radians(x)`: float64.
        Radians = "radians", 1..=1;
        /// `pi()`: float64.
        Pi = "pi", 0..=0;
        /// `is_nan(x)`: boolean.
        IsNan = "is_nan", 1..=1;
        /// `is_finite(x)`: boolean.
        IsFinite = "is_finite", 1..=1;
        /// `greatest(x, ...)`: NULL if any argument is.
        Greatest = "greatest", 1..=255;
        /// `least(x, ...)`: NULL if any argument is.
        Least = "least", 1..=255;
        /// `coalesce(x, ...)`: the first that is not NULL; later ones are not evaluated.
        Coalesce = "coalesce" | "ifnull", 1..=255;
        /// `nullif(x, y)`: NULL if they are equal, else `x`.
        Nullif = "nullif", 2..=2;
        /// `lower(s)`.
        Lower = "lower", 1..=1;
        /// `upper(s)`.
        Upper = "upper", 1..=1;
        /// `length(s)`: characters (code points), int64.
        Length = "length" | "char_length" | "character_length", 1..=1;
        /// `trim(s)`: without leading and trailing white space.
        Trim = "trim", 1..=1;
        /// `ltrim(s)`: without leading white space.
        Ltrim = "ltrim", 1..=1;
        /// `rtrim(s)`: without trailing white space.
        Rtrim = "rtrim", 1..=1;
        /// `substring(s, start [, length])`: characters from 1; a negative start counts from the end.
        Substring = "substring" | "substr", 2..=3;
        /// `strpos(s, part)`: where `part` first begins, in characters from 1; 0 if nowhere; int64.
        Strpos = "strpos" | "position", 2..=2;
        /// `starts_with(s, prefix)`: boolean.
        StartsWith = "starts_with", 2..=2;
        /// `ends_with(s, suffix)`: boolean.
        EndsWith = "ends_with", 2..=2;
        /// `contains(s, part)`: boolean.
        Contains = "contains", 2..=2;
        /// `replace(s, from, to)`.
        Replace = "replace", 3..=3;
        /// `concat(x, ...)`: NULL if any argument is.
        Concat = "concat", 1..=255;
        /// `reverse(s)`: by characters.
        Reverse = "reverse", 1..=1;
        /// `lpad(s, size, fill)`: to `size` characters, cut if longer.
        Lpad = "lpad", 3..=3;
        /// `rpad(s, size, fill)`: to `size` characters, cut if longer.
        Rpad = "rpad", 3..=3;
        /// `split_part(s, separator, index)`: the index-th field from 1; NULL if there are fewer.
        SplitPart = "split_part", 3..=3;
        /// `regexp_like(s, pattern)`: whether the pattern occurs; boolean.
        RegexpLike = "regexp_like" | "regexp_matches", 2..=2;
        /// `regexp_extract(s, pattern [, group])`: the first occurrence, or its group; NULL if none.
        RegexpExtract = "regexp_extract", 2..=3;
        /// `regexp_replace(s, pattern, to)`: every occurrence; `$1` names a group.
        RegexpReplace = "regexp_replace", 3..=3;
        /// `year(t)`: int64, in the zone of `t`.
        Year = "year", 1..=1;
        /// `quarter(t)`: int64, 1 to 4.
        Quarter = "quarter", 1..=1;
        /// `month(t)`: int64, 1 to 12.
        Month = "month", 1..=1;
        /// `week(t)`: ISO week, int64, 1 to 53.
        Week = "week" | "week_of_year", 1..=1;
        /// `day(t)`: of the month, int64, 1 to 31.
        Day = "day" | "day_of_month", 1..=1;
        /// `day_of_week(t)`: int64, Monday is 1.
        DayOfWeek = "day_of_week" | "dow", 1..=1;
        /// `day_of_year(t)`: int64, 1 to 366.
        DayOfYear = "day_of_year" | "doy", 1..=1;
        /// `hour(t)`: int64, 0 to 23.
        Hour = "hour", 1..=1;
        /// `minute(t)`: int64, 0 to 59.
        Minute = "minute", 1..=1;
        /// `second(t)`: int64, 0 to 59.
        Second = "second", 1..=1;
        /// `millisecond(t)`: of the second, int64, 0 to 999.
        Millisecond = "millisecond", 1..=1;
        /// `microsecond(t)`: of the second, int64, 0 to 999999.
        Microsecond = "microsecond", 1..=1;
        /// `nanosecond(t)`: of the second, int64, 0 to 999999999.
        Nanosecond = "nanosecond", 1..=1;
        /// `date_trunc(unit, t)`: in the zone and type of `t`.
        DateTrunc = "date_trunc", 2..=2;
        /// `date_diff(unit, from, to)`: whole units from the one to the other, int64.
        DateDiff = "date_diff", 3..=3;
        /// `date_add(unit, count, t)`: in the type of `t`.
        DateAdd = "date_add", 3..=3;
        /// `to_unixtime(t)`: seconds since 1970, float64.
        ToUnixtime = "to_unixtime", 1..=1;
        /// `from_unixtime(seconds)`: timestamp in UTC.
        FromUnixtime = "from_unixtime", 1..=1;
        /// `at_timezone(t, zone)`: the same instant, read in another zone.
        AtTimezone = "at_timezone", 2..=2;
        /// `total_seconds(d)`: of a span of time, float64.
        TotalSeconds = "total_seconds", 1..=1;
        /// `date(t)`: the day of a timestamp, in its zone.
        Date = "date", 1..=1;
    }
}

functions! {
    /// Aggregate functions. They pass over NULL arguments; of no rows all but the counts are NULL.
    AggregateFunction {
        /// `count(*)`, `count(v.*)`: rows; `count(x)`: rows where `x` is not NULL; int64.
        Count = "count", 0..=1;
        /// `count_if(c)`: rows where `c` is true; int64.
        CountIf = "count_if", 1..=1;
        /// `sum(x)`: int64 of integers (overflow is an error), float64 of floats, decimals keep their scale.
        Sum = "sum", 1..=1;
        /// `avg(x)`: float64; of decimals a decimal.
        Avg = "avg" | "mean", 1..=1;
        /// `min(x)`: the type of `x`.
        Min = "min", 1..=1;
        /// `max(x)`: the type of `x`.
        Max = "max", 1..=1;
        /// `stddev_samp(x)`: float64; NULL of fewer than two.
        StddevSamp = "stddev" | "stddev_samp", 1..=1;
        /// `stddev_pop(x)`: float64.
        StddevPop = "stddev_pop", 1..=1;
        /// `var_samp(x)`: float64; NULL of fewer than two.
        VarSamp = "variance" | "var_samp", 1..=1;
        /// `var_pop(x)`: float64.
        VarPop = "var_pop", 1..=1;
        /// `array_agg(x)`: a list in row order; keeps NULL.
        ArrayAgg = "array_agg", 1..=1;
        /// `bool_and(c)`: boolean.
        BoolAnd = "bool_and" | "every", 1..=1;
        /// `bool_or(c)`: boolean.
        BoolOr = "bool_or", 1..=1;
        /// `min_by(x, y)`: the `x` of the row with the least `y`.
        MinBy = "min_by" | "arg_min", 2..=2;
        /// `max_by(x, y)`: the `x` of the row with the greatest `y`.
        MaxBy = "max_by" | "arg_max", 2..=2;
        /// `median(x)`: float64, halfway between the two in the middle; of windows alone.
        Median = "median", 1..=1;
        /// `quantile(x, q)`: float64, linear between neighbours; `q` is a constant from 0 to 1; of windows alone.
        Quantile = "quantile" | "quantile_cont", 2..=2;
        /// `top_k(x, k)`: a list of the `k` most frequent values, the first to come first among equals; of windows alone.
        TopK = "top_k", 2..=2;
        /// `ewma(x, alpha)`: float64, the exponentially weighted mean in row order; with an interval for `alpha` the mean weighted by
        /// age, that being the half-life; of windows alone.
        Ewma = "ewma", 2..=2;
        /// `approx_n_unique(x)`: about how many distinct values, int64; standard error 1.6 %, exact up to 256; of windows alone.
        ApproxNUnique = "approx_n_unique" | "approx_count_distinct" | "approx_distinct", 1..=1;
        /// `approx_quantile(x, q [, error])`: float64, each neighbour within a relative error, by default 0.01; of windows alone.
        ApproxQuantile = "approx_quantile" | "approx_percentile", 2..=3;
        /// `approx_top_k(x, k [, error])`: as `top_k`, each frequency too small by at most a share of the rows, by default 0.001; of
        /// windows alone.
        ApproxTopK = "approx_top_k", 2..=3;
        /// `user_defined(x, ..., name, CAST(NULL AS type))`: an aggregate that whoever runs the window knows by name, and what type
        /// its values are of; rows where an argument is NULL are passed over; of windows alone.
        UserDefined = "user_defined", 3..=255;
    }
}
