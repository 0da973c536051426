using System.Net;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Mvc;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace CaptionService.Api;

/// <summary>The OpenAPI document at <c>/swagger/v1/swagger.json</c> and the page at <c>/swagger</c>.</summary>
public static class OpenApi
{
    /// <summary>
    /// JSON, where a form is another way into the same operation: media types have no case, and generators of clients that know
    /// one body for each operation send the form then instead of JSON under the form's name.
    /// </summary>
    internal const string JsonBesideForm = "application/JSON";

    private const string BearerKey = "Bearer";
    private const string HeaderKey = "X-Api-Key";

    /// <summary>Registers the generator of the document.</summary>
    public static IServiceCollection AddOpenApiDocument(this IServiceCollection services)
    {
        services.AddEndpointsApiExplorer();
        return services.AddSwaggerGen(swagger =>
        {
            swagger.SwaggerDoc("v1", new OpenApiInfo
            {
                Title = "Caption Service",
                Version = "v1",
                Description = "Self-hosted image captioning: photos in, ranked captions out. Whatever is not a success is `application/problem+json`.",
                License = new OpenApiLicense { Name = "MIT" },
            });
            foreach (string xml in (string[])["CaptionService.Api.xml", "CaptionService.Captioning.xml"])
            {
                if (Path.Combine(AppContext.BaseDirectory, xml) is var path && File.Exists(path))
                    swagger.IncludeXmlComments(path);
            }
            swagger.SupportNonNullableReferenceTypes();
            swagger.NonNullableReferenceTypesAsRequired();
            swagger.UseAllOfToExtendReferenceSchemas();     // else what may be null does not say so where its type is an object
            swagger.SchemaFilter<ProblemSchema>();
            swagger.OperationFilter<ProblemResponses>();
            swagger.OperationFilter<RouteText.Filter>();
            swagger.AddSecurityDefinition(BearerKey, new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "The key, as `keys create` wrote it." });
            swagger.AddSecurityDefinition(HeaderKey, new OpenApiSecurityScheme { Type = SecuritySchemeType.ApiKey, In = ParameterLocation.Header, Name = "X-Api-Key", Description = "The same key in a header of its own." });
            swagger.OperationFilter<KeyOfRoute>();
        });
    }

    /// <summary>Maps the document and Swagger's page.</summary>
    public static void MapOpenApiDocument(this WebApplication app)
    {
        app.UseSwagger();
        app.UseSwaggerUI(page =>
        {
            page.DocumentTitle = "Caption Service";
            page.SwaggerEndpoint("v1/swagger.json", "Caption Service v1");
            page.DisplayRequestDuration();
            page.EnableTryItOutByDefault();
        });
    }

    private sealed class ProblemSchema : ISchemaFilter
    {
        public void Apply(IOpenApiSchema schema, SchemaFilterContext context)
        {
            if (context.Type == typeof(ProblemDetails) && schema is OpenApiSchema { Properties: { } properties } problem)
            {
                problem.Description = "What went wrong (RFC 9457).";
                Describe("type", "Stable reference for this kind of problem; it can be opened on this server.");
                Describe("title", "What this kind of problem is.");
                Describe("status", "The HTTP status.");
                Describe("detail", "What was wrong this time, and what to do.");
                Describe("instance", "The path of the request.");
                properties["code"] = new OpenApiSchema
                {
                    Type = JsonSchemaType.String,
                    Description = "Stable name of this kind of problem, for programs.",
                    Enum = [.. ProblemTable.All.Select(kind => (JsonNode)kind.Code)],
                };
                properties["traceId"] = new OpenApiSchema { Type = JsonSchemaType.String, Description = "Trace id of the request, as in the service's log." };

                void Describe(string name, string text)
                {
                    if (properties.TryGetValue(name, out IOpenApiSchema? property))
                        property.Description = text;
                }
            }
        }
    }

    private sealed class KeyOfRoute : IOperationFilter
    {
        public void Apply(OpenApiOperation operation, OperationFilterContext context)
        {
            if (context.ApiDescription.ActionDescriptor.EndpointMetadata.OfType<NeededScope>().LastOrDefault() is { } needed)
            {
                operation.Security = [.. ((string[])[BearerKey, HeaderKey]).Select(scheme => new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(scheme, context.Document)] = [] })];
                operation.Description = $"{operation.Description} Where keys are needed: one of the scope `{needed.Scope.ToString().ToLowerInvariant()}`.".Trim();
            }
        }
    }

    private sealed class ProblemResponses : IOperationFilter
    {
        public void Apply(OpenApiOperation operation, OperationFilterContext context)
        {
            foreach ((string status, IOpenApiResponse response) in operation.Responses ?? [])
            {
                if (!int.TryParse(status, out int code) || code < 400)
                    continue;
                response.Description = ((HttpStatusCode)code).ToString();
                if (code is 429 or 503 && response is OpenApiResponse concrete)
                {
                    concrete.Headers = new Dictionary<string, IOpenApiHeader>
                    {
                        ["Retry-After"] = new OpenApiHeader { Description = "Seconds to wait before trying again.", Schema = new OpenApiSchema { Type = JsonSchemaType.Integer } },
                    };
                }
            }
        }
    }
}
