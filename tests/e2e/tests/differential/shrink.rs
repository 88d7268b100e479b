//! A query that differs, made as small as it still does.

use crate::generate::{Piece, Query, Type};

/// Every query that is one step smaller: a part in place of what holds it, or the simplest part of its type.
fn smaller(query: &Query) -> Vec<Query> {
    let mut all: Vec<Query> = parts(query).filter(|part| part.ty == query.ty).cloned().collect();
    for (i, piece) in query.pieces.iter().enumerate() {
        let Piece::Part(part) = piece else { continue };
        for replacement in smaller(part).into_iter().chain(simplest(part)) {
            let mut changed = query.clone();
            changed.pieces[i] = Piece::Part(replacement);
            all.push(changed);
        }
    }
    all
}

/// All parts below.
fn parts(query: &Query) -> Box<dyn Iterator<Item = &Query> + '_> {
    let direct = query.pieces.iter().filter_map(|piece| match piece {
        Piece::Part(part) => Some(part),
        Piece::Text(_) => None,
    });
    Box::new(direct.flat_map(|part| std::iter::once(part).chain(parts(part))))
}

fn simplest(query: &Query) -> Vec<Query> {
    let texts: &[&str] = match query.ty {
        Type::Scalar => &["1"],
        Type::Vector => &["load{job=\"web\"}", "requests_total{job=\"api\"}", "native_seconds{job=\"api\"}"],
        Type::Matrix => {
            &["load{job=\"web\"}[5m]", "requests_total{job=\"api\"}[5m]", "native_seconds{job=\"api\"}[5m]"]
        }
    };
    let now = query.to_string();
    let shorter = texts.iter().filter(|text| text.len() < now.len());
    shorter.map(|text| Query { ty: query.ty, pieces: vec![Piece::Text((*text).to_owned())] }).collect()
}

/// The smallest that still does.
pub fn smallest(query: &Query, still: impl Fn(&Query) -> bool) -> Query {
    let mut best = query.clone();
    loop {
        let mut candidates = smaller(&best);
        let length = best.to_string().len();
        candidates.retain(|candidate| candidate.to_string().len() < length);
        candidates.sort_by_key(|candidate| candidate.to_string().len());
        match candidates.into_iter().find(|candidate| still(candidate)) {
            Some(found) => best = found,
            None => return best,
        }
    }
}
