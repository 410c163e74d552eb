//! The end of a training step: gradients are clipped and tested, and parameters updated. Small tensors lie in arenas, so that
//! one dispatch does for all of them what each would need a dispatch for.

use super::Builder;
use crate::engine::plan::{Gathered, Layout, Lifetime, Plan, TensorId, names};
use crate::network::{Layer, Placed};
use crate::ops::op::Gradient;
use crate::ops::{adam, clip, guard};

impl Builder<'_> {
    /// Places the small parameters in one arena, those of the last layer first: so their gradients are computed. Training
    /// and inference place them alike. `None` where none is small.
    pub(super) fn place_parameters(&mut self) -> Option<TensorId> {
        let layers = self.network.layers.iter().rev();
        let trainable = layers.flat_map(|layer| layer.parameters()).filter(|parameter| parameter.trainable);
        let ids = trainable.map(|parameter| self.plan.find(&parameter.name).expect("forward made it"));
        let small: Vec<TensorId> = ids.filter(|id| self.plan.is_small(*id)).collect();
        self.arena(names::SMALL_PARAMETERS, Lifetime::Persistent, &small)
    }

    /// An arena of these tensors, if there are any.
    fn arena(&mut self, name: &str, lifetime: Lifetime, tensors: &[TensorId]) -> Option<TensorId> {
        let arena = (!tensors.is_empty()).then(|| self.plan.arena(name, lifetime))?;
        tensors.iter().for_each(|id| self.plan.place(*id, arena));
        Some(arena)
    }

    /// An arena with the tensors that belong to the parameters of another, in the same places; room is left for those of
    /// parameters that have none. `None` where none has one.
    fn beside(
        &mut self,
        name: &str,
        lifetime: Lifetime,
        parameters: TensorId,
        of: impl Fn(&mut Plan, &str) -> Option<TensorId>,
    ) -> Option<TensorId> {
        let parameters = self.plan.held_by(parameters);
        let mut one = |parameter: &TensorId| {
            let name = self.plan.tensor(*parameter).name.clone();
            of(&mut self.plan, &name)
        };
        let belonging: Vec<Option<TensorId>> = parameters.iter().map(&mut one).collect();
        let arena = belonging.iter().any(Option::is_some).then(|| self.plan.arena(name, lifetime))?;
        for (parameter, belonging) in parameters.into_iter().zip(belonging) {
            match belonging {
                Some(id) => self.plan.place(id, arena),
                None => self.plan.leave_room(parameter, arena),
            }
        }
        Some(arena)
    }

    /// The updates, and the guard before and after them. What it names is listed in the order in which it was computed: the
    /// first that is unusable is the nearest to the cause. `parameters` are the small ones.
    pub(super) fn update(&mut self, parameters: Option<TensorId>) {
        let is_of_batch = |layer: &&Placed| matches!(layer.layer, Layer::BatchNorm(_)) && !layer.frozen;
        let statistics = self.network.layers.iter().filter(is_of_batch).map(|layer| names::statistics(&layer.name));
        let watched = statistics.chain([names::METRICS.into()]);
        let watched: Vec<TensorId> = watched.map(|name| self.plan.find(&name).expect("forward made it")).collect();
        let watched = self.arena(names::WATCHED, Lifetime::Kept, &watched).expect("there are metrics");
        let gradient = |plan: &mut Plan, parameter: &str| plan.find(&names::gradient(parameter));
        let small = parameters.and_then(|parameters| {
            let gradients = self.beside(names::SMALL_GRADIENTS, Lifetime::Kept, parameters, gradient)?;
            let moments = names::MOMENTS.map(|moment| {
                let of = |plan: &mut Plan, parameter: &str| {
                    gradient(plan, parameter).map(|_| moment_of(plan, moment, parameter))
                };
                self.beside(&names::small_moments(moment), Lifetime::Persistent, parameters, of)
            });
            let [m, v, vhat] = moments.map(|moment| moment.expect("a moment for each gradient"));
            Some(adam::Tensors { parameter: parameters, gradient: gradients, m, v, vhat })
        });
        let large = std::mem::take(&mut self.gradients).into_iter();
        let large: Vec<Gradient> = large.filter(|gradient| self.plan.tensor(gradient.tensor).place.is_none()).collect();
        let tensors = large.iter().map(|gradient| gradient.tensor);
        if let Some(limit) = self.network.clip_norm {
            let gradients: Vec<TensorId> = small.iter().map(|small| small.gradient).chain(tensors.clone()).collect();
            clip::steps::clip(&mut self.plan, "clip", &gradients, limit);
        }

        // A flag for each place of an arena, and for each large gradient.
        let mut guarded = Vec::new();
        for arena in [watched].into_iter().chain(small.map(|small| small.gradient)) {
            guarded.extend(self.plan.tensors_by_place(arena).into_iter().map(|tensor| tensor.unwrap_or(arena)));
        }
        let first_large = guarded.len();
        guarded.extend(tensors);

        let tensors = guard::steps::Tensors {
            flags: self.plan.integers("guard/flags", &[guarded.len()]),
            rate: self.plan.kept(names::RATE, &[4], Layout::Packed),
            gate: self.plan.temporary("guard/gate", &[4], Layout::Packed),
            receipt: self.receipt(),
        };
        let guard = |flag| adam::steps::Guard { gate: tensors.gate, flags: tensors.flags, flag };
        let first_gradient = self.plan.places(watched);
        guard::steps::check(&mut self.plan, "guard statistics", watched, 0, tensors.flags);
        if let Some(small) = small {
            guard::steps::check(&mut self.plan, "guard gradients", small.gradient, first_gradient, tensors.flags);
        }
        guard::steps::stop(&mut self.plan, "guard stop", tensors, false);
        if let Some(small) = small {
            adam::steps::step(&mut self.plan, "adam small parameters", guard(first_gradient), small);
        }
        let mut updated = Vec::new();
        for (index, Gradient { parameter, tensor: gradient, .. }) in large.into_iter().enumerate() {
            let [m, v, vhat] = names::MOMENTS.map(|moment| moment_of(&mut self.plan, moment, &parameter));
            let id = self.plan.find(&parameter).expect("forward made it");
            updated.push(id);
            let tensors = adam::Tensors { parameter: id, gradient, m, v, vhat };
            adam::steps::step(&mut self.plan, &format!("adam {parameter}"), guard(first_large + index), tensors);
        }
        self.exchange_weights(&updated);
        guard::steps::stop(&mut self.plan, "guard report", tensors, true);
        self.plan.guarded = guarded;
    }

    /// Has ranks that have each updated a slice of these parameters give it to all others.
    fn exchange_weights(&mut self, parameters: &[TensorId]) {
        let plan = &mut self.plan;
        let cut = parameters.iter().filter(|id| plan.own_slice(**id).is_some());
        let slices: Vec<Gathered> = cut.map(|id| plan.slices_by_share(*id)).collect();
        if !slices.is_empty() {
            plan.exchange("weights exchange", slices, Vec::new());
        }
    }
}

/// A moment of a parameter, or of this rank's slice of it.
fn moment_of(plan: &mut Plan, moment: &str, parameter: &str) -> TensorId {
    let whole = plan.find(parameter).expect("forward made it");
    plan.persistent_slice(&format!("{moment}/{parameter}"), whole)
}
