using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace CaptionService.Api;

/// <summary>What the OpenAPI document says of a route beyond its types; stands beside the route.</summary>
internal sealed record RouteText(Action<OpenApiOperation, OperationFilterContext> Describe)
{
    /// <summary>Has every route described by what stands beside it.</summary>
    public sealed class Filter : IOperationFilter
    {
        public void Apply(OpenApiOperation operation, OperationFilterContext context)
        {
            foreach (RouteText text in context.ApiDescription.ActionDescriptor.EndpointMetadata.OfType<RouteText>())
                text.Describe(operation, context);
        }
    }
}

/// <summary>Says more of a route.</summary>
internal static class RouteTexts
{
    /// <summary>Describes a route in the OpenAPI document.</summary>
    public static RouteHandlerBuilder Describe(this RouteHandlerBuilder route, Action<OpenApiOperation> describe) =>
        route.WithMetadata(new RouteText((operation, _) => describe(operation)));

    /// <summary>As above, with types of the document.</summary>
    public static RouteHandlerBuilder Describe(this RouteHandlerBuilder route, Action<OpenApiOperation, OperationFilterContext> describe) => route.WithMetadata(new RouteText(describe));

    /// <summary>Describes the JSON that a route reads by itself, whatever type it is declared to be.</summary>
    public static RouteHandlerBuilder JsonBody<T>(this RouteHandlerBuilder route) => route.WithMetadata(new RouteText((operation, context) =>
        operation.Body("application/json", context.SchemaGenerator.GenerateSchema(typeof(T), context.SchemaRepository))));

    /// <summary>Says with which statuses a route answers problems.</summary>
    public static RouteHandlerBuilder Problems(this RouteHandlerBuilder route, params IEnumerable<int> statuses)
    {
        foreach (int status in statuses)
            route.ProducesProblem(status);
        return route;
    }

    /// <summary>Describes a body that is a photo, beside those that were described before.</summary>
    public static void BytesBody(this OpenApiOperation operation, string description) =>
        operation.Body("application/octet-stream", new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary", Description = description });

    /// <summary>Describes a form with one file.</summary>
    public static void FormBody(this OpenApiOperation operation, string field) => operation.Body("multipart/form-data", new OpenApiSchema
    {
        Type = JsonSchemaType.Object,
        Required = new HashSet<string> { field },
        Properties = new Dictionary<string, IOpenApiSchema> { [field] = new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary", Description = "The photo." } },
    });

    private static void Body(this OpenApiOperation operation, string type, IOpenApiSchema schema)
    {
        var content = new Dictionary<string, IOpenApiMediaType>(operation.RequestBody?.Content ?? new Dictionary<string, IOpenApiMediaType>()) { [type] = new OpenApiMediaType { Schema = schema } };
        operation.RequestBody = new OpenApiRequestBody { Required = true, Content = content };
    }

    /// <summary>Names the problems that each status may stand for.</summary>
    public static void NameProblems(this OpenApiOperation operation)
    {
        foreach ((string status, IOpenApiResponse response) in operation.Responses ?? [])
        {
            if (int.TryParse(status, out int code) && code >= 400)
                response.Description = string.Join("; ", ProblemTable.All.Where(kind => kind.Status == code).Select(kind => $"`{kind.Code}`: {kind.Title}"));
        }
    }

    /// <summary>Describes a header of the request.</summary>
    public static void Header(this OpenApiOperation operation, string name, string description, OpenApiSchema schema) =>
        operation.Parameters = [.. operation.Parameters ?? [], new OpenApiParameter { Name = name, In = ParameterLocation.Header, Description = description, Schema = schema }];

    /// <summary>Describes the header with which a stream of events goes on.</summary>
    public static void LastEventId(this OpenApiOperation operation, string description) =>
        operation.Header(ServerSentEvents.LastEventId, description, new OpenApiSchema { Type = JsonSchemaType.Integer, Format = "int64", Minimum = "0" });

    /// <summary>The parameter with a name, which the route has.</summary>
    public static OpenApiParameter Parameter(this OpenApiOperation operation, string name) => operation.Parameters!.OfType<OpenApiParameter>().Single(parameter => parameter.Name == name);

    /// <summary>A schema of a text.</summary>
    public static OpenApiSchema Text(string description, string? format = null) => new() { Type = JsonSchemaType.String, Format = format, Description = description };

    /// <summary>An answer's header that leads to what was made.</summary>
    public static void Location(this OpenApiOperation operation, string status, string description) => operation.Answer(status)?.Headers = new Dictionary<string, IOpenApiHeader>
    {
        ["Location"] = new OpenApiHeader { Description = description, Schema = new OpenApiSchema { Type = JsonSchemaType.String } },
    };

    /// <summary>The answer with a status; null where the route has none.</summary>
    public static OpenApiResponse? Answer(this OpenApiOperation operation, string status) =>
        operation.Responses?.TryGetValue(status, out IOpenApiResponse? answer) == true ? answer as OpenApiResponse : null;
}
