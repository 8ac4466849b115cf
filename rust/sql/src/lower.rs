//! Names to the pattern language: which variable, which row, which function.

use cepheid_ir::{
    Aggregate, AggregateFunction, Anchor, BinaryOp, CaseBranch, Expr, Function, Literal, PatternError,
    RowPointer, Semantics, TestedRow, limits,
};

use crate::Dialect;
use crate::ast::{Call, Case, Kind, Name, Names, Node, Star};
use crate::error::{Failure, Parsed, SqlErrorKind};
use crate::span::Span;

/// Functions of a row pattern that no table of functions lists.
const NAVIGATION: &[&str] = &["first", "last", "prev", "next", "classifier", "match_number"];

/// What an expression can name.
pub(crate) struct Scope<'a> {
    pub(crate) dialect: Dialect,
    /// Variables and subsets, in order; `None`: any name will do.
    pub(crate) variables: Option<&'a Names>,
    /// The alias of the matches.
    pub(crate) alias: Option<&'a Name>,
    /// How an error calls the place of the expression.
    pub(crate) context: String,
}

impl Scope<'_> {
    /// Refuses a qualifier that is not the alias of the matches.
    pub(crate) fn check_alias(&self, qualifier: &Name) -> Parsed<()> {
        let fault = |message: String| Failure::new(SqlErrorKind::UnknownAlias, qualifier.span, message);
        let (rows, behind) = match self.dialect {
            Dialect::Window => ("windows", "AS w behind TABLE(...)"),
            _ => ("matches", "AS m behind MATCH_RECOGNIZE (...)"),
        };
        let Some(alias) = self.alias else {
            return Err(fault(format!("the {rows} have no alias; add {behind}, or leave the qualifier out")));
        };
        let same = if qualifier.quoted || alias.quoted {
            qualifier.text == alias.text
        } else {
            qualifier.text.to_lowercase() == alias.text.to_lowercase()
        };
        if same {
            return Ok(());
        }
        let message =
            format!("`{}` is not the alias of the {rows}, which is `{}`", qualifier.text, alias.text);
        Err(fault(message).with_nearest(&qualifier.text, [alias.text.as_str()]))
    }
}

/// Lowers a whole expression.
pub(crate) fn lower_expression(scope: &Scope<'_>, node: Node) -> Parsed<Expr> {
    let span = node.span;
    let mut lowering = Lowering { scope, inside: Inside::Nothing, labels: vec![] };
    let expr = lowering.expr(node)?;
    if expr.depth() > limits::EXPR_DEPTH_MAX {
        return Err(Failure::limit(span, "the expression is nested too deep", limits::EXPR_DEPTH_MAX));
    }
    Ok(expr)
}

/// A construct whose columns must all be of one variable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Navigation,
    Aggregate,
}

struct Lowering<'a> {
    scope: &'a Scope<'a>,
    inside: Inside,
    /// The variables named by the columns and classifiers of the construct around, with their places.
    labels: Vec<(Option<String>, Span)>,
}

impl Lowering<'_> {
    /// One frame of this is on the stack at every level: its arms are calls, so that it stays small.
    fn expr(&mut self, node: Node) -> Parsed<Expr> {
        let span = node.span;
        match *node.kind {
            Kind::Literal(literal) => Ok(Expr::Literal(literal)),
            Kind::Column { qualifier, column } => self.column(qualifier, column),
            Kind::Negate(operand) => self.unary(operand, Expr::Negate),
            Kind::Not(operand) => self.unary(operand, Expr::Not),
            Kind::IsNull(operand) => self.unary(operand, Expr::IsNull),
            Kind::Binary { op, left, right } => self.binary(op, left, right),
            Kind::And(args) => self.all(args).map(Expr::And),
            Kind::Or(args) => self.all(args).map(Expr::Or),
            Kind::In { operand, list } => self.membership(operand, list),
            Kind::Between { operand, low, high } => self.between(operand, low, high),
            Kind::Like { operand, pattern, escape } => self.like(operand, pattern, escape),
            Kind::Case(case) => self.case(*case),
            Kind::Cast { operand, to, lenient } => {
                self.boxed(operand).map(|operand| Expr::Cast { operand, to, lenient })
            }
            Kind::Function { function, args } => self.function(function, args, span),
            Kind::Call(call) => self.call(*call, span),
        }
    }

    fn unary(&mut self, operand: Node, wrap: fn(Box<Expr>) -> Expr) -> Parsed<Expr> {
        self.boxed(operand).map(wrap)
    }

    fn binary(&mut self, op: BinaryOp, left: Node, right: Node) -> Parsed<Expr> {
        Ok(Expr::Binary { op, left: self.boxed(left)?, right: self.boxed(right)? })
    }

    fn membership(&mut self, operand: Node, list: Vec<Node>) -> Parsed<Expr> {
        Ok(Expr::In { operand: self.boxed(operand)?, list: self.all(list)? })
    }

    fn like(&mut self, operand: Node, pattern: Node, escape: Option<char>) -> Parsed<Expr> {
        Ok(Expr::Like { operand: self.boxed(operand)?, pattern: self.boxed(pattern)?, escape })
    }

    fn boxed(&mut self, node: Node) -> Parsed<Box<Expr>> {
        self.expr(node).map(Box::new)
    }

    fn all(&mut self, nodes: Vec<Node>) -> Parsed<Vec<Expr>> {
        nodes.into_iter().map(|node| self.expr(node)).collect()
    }

    fn between(&mut self, operand: Node, low: Node, high: Node) -> Parsed<Expr> {
        Ok(Expr::Between { operand: self.boxed(operand)?, low: self.boxed(low)?, high: self.boxed(high)? })
    }

    fn case(&mut self, case: Case) -> Parsed<Expr> {
        let operand = case.operand.map(|operand| self.expr(operand)).transpose()?;
        let mut branches = Vec::with_capacity(case.branches.len());
        for (when, then) in case.branches {
            let when = self.expr(when)?;
            let when = match &operand {
                Some(operand) => Expr::binary(BinaryOp::Equal, operand.clone(), when),
                None => when,
            };
            branches.push(CaseBranch { when, then: self.expr(then)? });
        }
        let otherwise = case.otherwise.map(|otherwise| self.boxed(otherwise)).transpose()?;
        Ok(Expr::Case { branches, otherwise })
    }

    fn column(&mut self, qualifier: Option<Name>, column: Name) -> Parsed<Expr> {
        let span = qualifier.as_ref().map_or(column.span, |qualifier| qualifier.span);
        let variable = self.qualifier(qualifier.as_ref())?;
        self.labels.push((variable.clone(), span));
        let at = self.pointer(variable);
        Ok(Expr::Column { name: column.text, quoted: column.quoted, at })
    }

    /// The last row of a variable so far; without one, the row at hand.
    fn pointer(&self, variable: Option<String>) -> RowPointer {
        RowPointer { tested_row: self.tested_row(&variable), variable, ..RowPointer::default() }
    }

    fn tested_row(&self, variable: &Option<String>) -> TestedRow {
        // In the algebra a variable's rows are those accepted before; a bare column is that of the row under test.
        match self.scope.dialect {
            Dialect::AlgebraCondition if variable.is_some() => TestedRow::Excluded,
            _ => TestedRow::Included,
        }
    }

    /// The variable that a qualifier names; none in an outer query, where it is the alias.
    fn qualifier(&self, qualifier: Option<&Name>) -> Parsed<Option<String>> {
        let Some(qualifier) = qualifier else { return Ok(None) };
        if matches!(self.scope.dialect, Dialect::Outer | Dialect::Window) {
            return self.scope.check_alias(qualifier).map(|()| None);
        }
        let name = match self.scope.dialect {
            Dialect::AlgebraCondition | Dialect::AlgebraMeasure => qualifier.text.clone(),
            _ => qualifier.folded(),
        };
        if let Some(variables) = self.scope.variables
            && !variables.contains(&name)
        {
            return Err(unknown_variable(&self.scope.context, name, qualifier.span, variables));
        }
        Ok(Some(name))
    }

    fn call(&mut self, call: Call, span: Span) -> Parsed<Expr> {
        let lower = if call.name.quoted { String::new() } else { call.name.text.to_ascii_lowercase() };
        match lower.as_str() {
            "first" | "last" => self.navigation(call, span),
            "prev" | "next" => self.navigation(call, span),
            "classifier" => self.classifier(call, span),
            "match_number" => self.match_number(&call, span),
            name => {
                if let Some(function) = AggregateFunction::from_name(name) {
                    return self.aggregate(function, call, span);
                }
                if let Some(function) = Function::from_name(name) {
                    refuse_semantics(&call)?;
                    check_plain(&call, function.arity(), span)?;
                    return Ok(Expr::Call { function, args: self.all(call.args)? });
                }
                Err(unknown_function(&call.name))
            }
        }
    }

    fn function(&mut self, function: Function, args: Vec<Node>, span: Span) -> Parsed<Expr> {
        check_arity(function.name(), function.arity(), args.len(), span)?;
        Ok(Expr::Call { function, args: self.all(args)? })
    }

    fn refuse_outside_pattern(&self, name: &Name, span: Span) -> Parsed<()> {
        let remedy = match self.scope.dialect {
            Dialect::Outer => "; make it a measure and select that",
            Dialect::Window => ", not of a window",
            _ => return Ok(()),
        };
        let name = name.text.to_ascii_uppercase();
        let message = format!("{name}() has a meaning in MEASURES and DEFINE only{remedy}");
        Err(Failure::invalid(span, message))
    }

    fn match_number(&self, call: &Call, span: Span) -> Parsed<Expr> {
        self.refuse_outside_pattern(&call.name, span)?;
        refuse_semantics(call)?;
        check_plain(call, (0, 0), span)?;
        if self.inside == Inside::Navigation {
            return Err(Failure::invalid(
                span,
                "MATCH_NUMBER() is the same on every row; it cannot be navigated",
            ));
        }
        Ok(Expr::MatchNumber)
    }

    /// `CLASSIFIER()` or `CLASSIFIER(v)`.
    fn classifier(&mut self, mut call: Call, span: Span) -> Parsed<Expr> {
        self.refuse_outside_pattern(&call.name, span)?;
        refuse_semantics(&call)?;
        check_plain(&call, (0, 1), span)?;
        let variable = match call.args.pop().map(|arg| (arg.span, *arg.kind)) {
            None => None,
            Some((_, Kind::Column { qualifier: None, column })) => self.qualifier(Some(&column))?,
            Some((place, _)) => {
                return Err(Failure::invalid(place, "CLASSIFIER() takes the name of a variable or nothing"));
            }
        };
        self.labels.push((variable.clone(), span));
        Ok(Expr::Classifier { at: self.pointer(variable) })
    }

    /// `FIRST LAST PREV NEXT`: every column and classifier of the argument gets the pointer that they spell.
    fn navigation(&mut self, call: Call, span: Span) -> Parsed<Expr> {
        let name = call.name.text.to_ascii_uppercase();
        let logical = name == "FIRST" || name == "LAST";
        // A window has a first and a last row, too.
        if !(logical && self.scope.dialect == Dialect::Window) {
            self.refuse_outside_pattern(&call.name, span)?;
        }
        match self.inside {
            Inside::Nothing => {}
            Inside::Aggregate => {
                return Err(Failure::invalid(span, format!("{name}() cannot stand inside an aggregate")));
            }
            Inside::Navigation => {
                let message = format!(
                    "{name}() cannot stand here inside another navigation; only PREV(FIRST(x, k), n) and the like nest"
                );
                return Err(Failure::invalid(span, message));
            }
        }
        if logical { self.logical(call, span) } else { self.physical(call, span) }
    }

    fn logical(&mut self, mut call: Call, span: Span) -> Parsed<Expr> {
        check_plain(&call, (1, 2), span)?;
        let semantics = self.semantics(&call)?;
        let offset = match call.args.len() {
            2 => call.args.pop().map(|node| offset(node, i64::from(u32::MAX))).transpose()?,
            _ => None,
        };
        let logical_offset = offset.and_then(|offset| u32::try_from(offset).ok()).unwrap_or(0);
        let anchor = if call.name.text.eq_ignore_ascii_case("FIRST") { Anchor::First } else { Anchor::Last };
        let mut expr = self.navigated(call, span)?;
        for_each_pointer(&mut expr, &mut |at| {
            at.anchor = anchor;
            at.logical_offset = logical_offset;
            at.semantics = semantics;
        });
        Ok(expr)
    }

    fn physical(&mut self, mut call: Call, span: Span) -> Parsed<Expr> {
        if let Some((_, place)) = call.semantics {
            let message = format!(
                "RUNNING and FINAL go with FIRST, LAST and aggregates; write {}(FINAL LAST(x))",
                call.name.text.to_ascii_uppercase()
            );
            return Err(Failure::invalid(place, message));
        }
        check_plain(&call, (1, 2), span)?;
        let distance = match call.args.len() {
            2 => call.args.pop().map_or(Ok(1), |node| offset(node, i64::MAX))?,
            _ => 1,
        };
        let forward = call.name.text.eq_ignore_ascii_case("NEXT");
        let nested = call.args.first().is_some_and(is_logical_navigation);
        let mut expr = match call.args.pop() {
            Some(arg) if nested => self.expr(arg)?,
            arg => {
                call.args.extend(arg);
                self.navigated(call, span)?
            }
        };
        for_each_pointer(&mut expr, &mut |at| {
            at.physical_offset = if forward { distance } else { -distance }
        });
        Ok(expr)
    }

    /// The argument of a navigation, its columns of one variable.
    fn navigated(&mut self, mut call: Call, span: Span) -> Parsed<Expr> {
        let Some(arg) = call.args.pop() else { return Err(Failure::invalid(span, "an argument is missing")) };
        let place = arg.span;
        let name = call.name.text.to_ascii_uppercase();
        let (expr, label) = self.labelled(Inside::Navigation, &name, |lowering| lowering.expr(arg))?;
        if label.is_none() {
            return Err(Failure::invalid(place, format!("{name}() needs a column or CLASSIFIER() to read")));
        }
        Ok(expr)
    }

    /// Lowers the inside of a construct and checks that all its columns name one variable, or none does. Gives that
    /// variable; `None` if there is no column at all.
    fn labelled<T>(
        &mut self,
        inside: Inside,
        construct: &str,
        lower: impl FnOnce(&mut Self) -> Parsed<T>,
    ) -> Parsed<(T, Option<Option<String>>)> {
        let outer_inside = std::mem::replace(&mut self.inside, inside);
        let outer_labels = std::mem::take(&mut self.labels);
        let lowered = lower(self)?;
        let labels = std::mem::replace(&mut self.labels, outer_labels);
        self.inside = outer_inside;
        let mut labels = labels.into_iter();
        let Some((first, _)) = labels.next() else { return Ok((lowered, None)) };
        for (label, span) in labels {
            if label != first {
                let spell = |label: &Option<String>| match label {
                    Some(name) => format!("variable `{name}`"),
                    None => "the whole match".into(),
                };
                let message = format!(
                    "all columns in one {construct}() must be of one variable; this is of {}, the first of {}",
                    spell(&label),
                    spell(&first)
                );
                return Err(Failure::invalid(span, message));
            }
        }
        Ok((lowered, Some(first)))
    }

    fn aggregate(&mut self, function: AggregateFunction, mut call: Call, span: Span) -> Parsed<Expr> {
        let name = call.name.text.to_ascii_uppercase();
        if self.scope.dialect == Dialect::Outer {
            return Err(Failure::beyond_one_pattern(span, &format!("the aggregate {name}()")));
        }
        match self.inside {
            Inside::Nothing => {}
            Inside::Aggregate => {
                return Err(Failure::invalid(span, "an aggregate cannot stand inside an aggregate"));
            }
            Inside::Navigation => {
                return Err(Failure::invalid(span, "an aggregate cannot stand inside a navigation"));
            }
        }
        let semantics = self.semantics(&call)?;
        let (args, variable) = match call.star.take() {
            Some(star) => (vec![], self.star(function, &star, &call)?),
            None => {
                let found = call.args.len();
                check_arity(function.name(), function.arity(), found, span)?;
                let nodes = std::mem::take(&mut call.args);
                let (mut args, label) =
                    self.labelled(Inside::Aggregate, &name, |lowering| lowering.all(nodes))?;
                for arg in &mut args {
                    for_each_pointer(arg, &mut |at| *at = RowPointer::default());
                }
                (args, label.flatten())
            }
        };
        if let Some(distinct) = call.distinct
            && args.is_empty()
        {
            return Err(Failure::invalid(distinct, "COUNT(DISTINCT *) has no meaning; name a column"));
        }
        let tested_row = self.tested_row(&variable);
        let distinct = call.distinct.is_some();
        Ok(Expr::Aggregate(Aggregate { function, args, distinct, variable, semantics, tested_row }))
    }

    /// The variable of `COUNT(*)` or `COUNT(v.*)`.
    fn star(&self, function: AggregateFunction, star: &Star, call: &Call) -> Parsed<Option<String>> {
        if function != AggregateFunction::Count {
            let message =
                format!("only COUNT takes `*`; {}() takes a column", call.name.text.to_ascii_uppercase());
            return Err(Failure::invalid(star.span, message));
        }
        self.qualifier(star.qualifier.as_ref())
    }

    fn semantics(&self, call: &Call) -> Parsed<Semantics> {
        let in_condition = matches!(self.scope.dialect, Dialect::Condition | Dialect::AlgebraCondition);
        match call.semantics {
            Some((Semantics::Final, place)) if in_condition => Err(Failure::invalid(
                place,
                "FINAL has no meaning in a condition; the match is not finished yet",
            )),
            Some((_, place)) if self.scope.dialect == Dialect::Window => {
                Err(Failure::invalid(place, "RUNNING and FINAL have a meaning in MATCH_RECOGNIZE only"))
            }
            Some((semantics, _)) => Ok(semantics),
            // Of a window all rows are there; this tells LAST(x) from a bare x, too.
            None if self.scope.dialect == Dialect::Window => Ok(Semantics::Final),
            None => Ok(Semantics::Running),
        }
    }
}

fn is_logical_navigation(node: &Node) -> bool {
    match &*node.kind {
        Kind::Call(call) if !call.name.quoted => {
            ["FIRST", "LAST"].iter().any(|name| call.name.text.eq_ignore_ascii_case(name))
        }
        _ => false,
    }
}

fn for_each_pointer(expr: &mut Expr, change: &mut dyn FnMut(&mut RowPointer)) {
    expr.walk_mut(&mut |expr| {
        if let Expr::Column { at, .. } | Expr::Classifier { at } = expr {
            change(at);
        }
    });
}

/// The offset of a navigation: a constant that is not negative.
fn offset(node: Node, most: i64) -> Parsed<i64> {
    match *node.kind {
        Kind::Literal(Literal::Integer(count)) if (0..=most).contains(&count) => Ok(count),
        _ => Err(Failure::invalid(
            node.span,
            format!("an offset is a whole number from 0 to {most}, written out"),
        )),
    }
}

fn check_arity(name: &str, (least, most): (usize, usize), found: usize, span: Span) -> Parsed<()> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    let count = if least == most { least.to_string() } else { format!("{least} to {most}") };
    let plural = if most == 1 { "" } else { "s" };
    Err(Failure::invalid(
        span,
        format!("{}() takes {count} argument{plural}, not {found}", name.to_ascii_uppercase()),
    ))
}

fn check_plain(call: &Call, arity: (usize, usize), span: Span) -> Parsed<()> {
    refuse_star(call)?;
    if let Some(distinct) = call.distinct {
        return Err(Failure::invalid(distinct, "DISTINCT has a meaning in aggregates only"));
    }
    check_arity(&call.name.text, arity, call.args.len(), span)
}

fn refuse_star(call: &Call) -> Parsed<()> {
    match &call.star {
        Some(star) => Err(Failure::invalid(star.span, "`*` stands for rows, and only COUNT takes it")),
        None => Ok(()),
    }
}

fn refuse_semantics(call: &Call) -> Parsed<()> {
    match call.semantics {
        Some((_, place)) => {
            Err(Failure::invalid(place, "RUNNING and FINAL go with FIRST, LAST and aggregates only"))
        }
        None => Ok(()),
    }
}

fn unknown_function(name: &Name) -> Box<Failure> {
    let known = Function::ALL
        .iter()
        .map(|function| function.name())
        .chain(AggregateFunction::ALL.iter().map(|function| function.name()))
        .chain(NAVIGATION.iter().copied());
    let message = format!("there is no function `{}`", name.text);
    Failure::new(SqlErrorKind::UnknownFunction, name.span, message).with_nearest(&name.text, known)
}

/// A name that is no variable of the pattern.
pub(crate) fn unknown_variable(context: &str, name: String, span: Span, known: &Names) -> Box<Failure> {
    let searched = name.clone();
    let context = context.to_owned();
    let error = PatternError::UnknownVariable { context, name, known: known.listed().to_vec() };
    Failure::pattern(error, span).with_nearest(&searched, known.iter())
}
