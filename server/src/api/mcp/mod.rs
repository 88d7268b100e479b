//! `/mcp`: a Model Context Protocol endpoint over the API, for assistants (modelcontextprotocol.io, transport "Streamable HTTP",
//! without sessions). A tool is an endpoint that reads: a call goes through the same routes, with the limits and the rights of
//! whoever called.

mod tools;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use http::Request;
use http::request::Parts;
use rmcp::ErrorData;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tower::ServiceExt as _;

use self::tools::ENDPOINTS;
use crate::app::App;
use crate::listen::Client;
use crate::serve::Tenant;
use crate::version;

/// The longest answer of a tool, bytes: it goes into the context of a model.
const ANSWER_MAX: usize = 256 << 10;
/// The longest request.
const REQUEST_MAX: usize = 1 << 20;
const INSTRUCTIONS: &str = "Metrics of a Kubernetes cluster in PromQL, as Prometheus has them. Look for the names of metrics by \
                            label_values of __name__ with a selector, and ask for few series: answers are at most 256 KiB long.";

/// The service of the endpoint.
pub(super) type Service = StreamableHttpService<Tools, NeverSessionManager>;

/// What is served; `api` has the routes that tools call.
pub(super) fn service(app: &App, api: Router) -> Service {
    let tools = Tools { api };
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(REQUEST_MAX)
        .with_cancellation_token(app.stop.child_token())
        // By which name the server is reached is not known here. A page in a browser, which could be led here by a name that
        // changes its address, says where it is from: such requests are refused.
        .disable_allowed_hosts()
        .enforce_origin_validation();
    StreamableHttpService::new(move || Ok(tools.clone()), Arc::default(), config)
}

/// The tools of one request.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    api: Router,
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("weft", version::WEFT))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(ENDPOINTS.iter().map(tools::Endpoint::tool).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(endpoint) = ENDPOINTS.iter().find(|one| one.name == request.name) else {
            return Err(ErrorData::invalid_params(format!("there is no tool {:?}", request.name), None));
        };
        let answer = match endpoint.uri(&request.arguments.unwrap_or_default()) {
            Ok(uri) => self.ask(endpoint.path, &uri, context.extensions.get::<Parts>()).await,
            Err(why) => Err(why),
        };
        let result = match answer {
            Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
            // What the caller can mend is an answer of the tool: the protocol's own errors are not shown to models.
            Err(why) => CallToolResult::error(vec![ContentBlock::text(why)]),
        };
        Ok(result.into())
    }
}

impl Tools {
    /// The answer of an endpoint to who sent the request around the call.
    async fn ask(&self, path: &str, uri: &str, from: Option<&Parts>) -> Result<String, String> {
        let mut request = Request::get(uri).body(Body::empty()).map_err(|_| "the arguments are too long".to_owned())?;
        if let Some(from) = from {
            if let Some(client) = from.extensions.get::<ConnectInfo<Client>>() {
                request.extensions_mut().insert(client.clone());
            }
            if let Some(tenant) = from.extensions.get::<Tenant>() {
                if !Tenant::may_ask(path) {
                    return Err(format!("Forbidden: {} may read what is about their namespaces only", tenant.name()));
                }
                request.extensions_mut().insert(tenant.clone());
            }
        }
        let response = self.api.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let is_good = response.status().is_success();
        let body = to_bytes(response.into_body(), ANSWER_MAX).await.map_err(|_| {
            format!("the answer is longer than {ANSWER_MAX} bytes: ask for fewer series, fewer points, or with a limit")
        })?;
        let text = String::from_utf8_lossy(&body).into_owned();
        if is_good { Ok(text) } else { Err(text) }
    }
}
