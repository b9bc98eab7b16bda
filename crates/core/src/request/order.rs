//! Orders.

use crate::failure::Parsed;
use crate::idempotency::IdempotencyKey;
use crate::ids::OrderId;
use crate::order::{NewOrder, Order, OrderChange, OrderQuery};
use crate::secret::Page;

/// An order's id as it stood in the path, or the complaint that it is none.
pub type OrderPath = Parsed<OrderId>;

request!(/// Whether there is an order. Asked for a caller who will be refused for another reason.
    FindOrder {
        /// Which order.
        pub id: OrderPath,
    } -> (), "order.find.v1", "Order retrieval");

request!(/// Takes an order. What it asks for is made later.
    CreateOrder {
        /// The order.
        pub order: Parsed<NewOrder>,
        /// What makes a repetition of the request known as such.
        pub idempotency: Parsed<Option<IdempotencyKey>>,
    } -> OrderId, "order.create.v1", "Order creation", mutates);

request!(/// Tells how far an order is.
    GetOrder {
        /// Which order.
        pub id: OrderPath,
    } -> Order, "order.get.v1", "Order retrieval");

request!(/// Lists the project's orders, by creation.
    ListOrders {
        /// Which, and which part.
        pub query: Parsed<OrderQuery>,
    } -> Page<Order>, "order.list.v1", "Order(s) retrieval");

request!(/// Deletes an order, whatever its status. What it has made stays; what it hasn't is not made.
    DeleteOrder {
        /// Which order.
        pub id: OrderPath,
    } -> (), "order.delete.v1", "Order deletion", mutates);

request!(/// Whether the caller might change orders, if there were a way to.
    UpdateOrders {} -> (), "order.update.v1", "Order update");

request!(/// Changes what a pending certificate order asks for; answers whether orders can be changed at all.
    UpdateOrder {
        /// Which order.
        pub id: OrderPath,
        /// What it asks for instead.
        pub change: Parsed<OrderChange>,
    } -> bool, "order.change.v1", "Order update", mutates);
