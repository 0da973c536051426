using System.Text.Json.Nodes;
using CaptionService.Api.Captions;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace CaptionService.Api.CaptionJobs;

/// <summary>The body of <c>POST /caption-jobs</c> and the forms of its results, in the OpenAPI document.</summary>
internal static class CaptionJobsOperation
{
    public static void DescribePost(OpenApiOperation operation, OperationFilterContext context)
    {
        operation.Parameters = [.. CaptionsOperation.OptionParameters(context)];
        operation.RequestBody = new OpenApiRequestBody
        {
            Required = true,
            Description = "A form with an archive, or one source of photos in a form or JSON. Options in the body count where the query gives the same one.",
            Content = new Dictionary<string, IOpenApiMediaType>
            {
                ["multipart/form-data"] =
                    new OpenApiMediaType { Schema = Body(("archive", RouteTexts.Text("Zip, tar or tar.gz with photos.", "binary")), Dataset, Folder) },
                [OpenApi.JsonBesideForm] = new OpenApiMediaType
                {
                    Schema = Body([Dataset, Folder, .. CaptionsOperation.OptionSchemas(context)
                        .Select(option => (option.Key, option.Value))]),
                    Example = JsonNode.Parse("""{ "folder": "photos/2026", "count": 1 }"""),
                },
            },
        };
        operation.Location("202", "Where to watch the job.");
    }

    public static void DescribeResults(OpenApiOperation operation)
    {
        if (operation.Parameters?.OfType<OpenApiParameter>().FirstOrDefault(parameter => parameter.Name == "format") is { } format)
        {
            format.Description = "`json`: a page; `jsonl`: a result on each line; `csv`. Default: what `Accept` prefers, else `json`.";
            format.Schema = new OpenApiSchema { Type = JsonSchemaType.String, Enum = ["json", "jsonl", "csv"] };
        }
        if (operation.Answer("200") is { Content: { } content })
        {
            content[CaptionJobResults.JsonLinesType] = new OpenApiMediaType { Schema = RouteTexts.Text("On each line one of `results`, as in JSON.") };
            content[CaptionJobResults.CsvType] =
                new OpenApiMediaType { Schema = RouteTexts.Text("number, name, width, height, language, rank, caption, logProbability, confidence, reason, problem, detail.") };
        }
    }

    public static void DescribeEvents(OpenApiOperation operation) => operation.LastEventId("Number of the last event that the listener has.");

    private static (string Name, OpenApiSchema Schema) Dataset =>
        (CaptionJobSources.Dataset, RouteTexts.Text("Id of a data set, one of `GET /datasets`."));

    private static (string Name, OpenApiSchema Schema) Folder =>
        (CaptionJobSources.Folder,
            RouteTexts.Text("A folder of the server: a name of `CaptionJobs:Folders`, or a path below one, such as `photos/2026`."));

    // One of three, which a schema can hardly say: none is required by itself. Null is as good as absent, since not every client can leave
    // a member out.
    private static OpenApiSchema Body(params (string Name, OpenApiSchema Schema)[] members)
    {
        foreach ((_, OpenApiSchema schema) in members)
            schema.Type |= schema.Default is not null ? 0 : JsonSchemaType.Null;
        return new OpenApiSchema { Type = JsonSchemaType.Object, Properties = members.ToDictionary(member => member.Name, member => (IOpenApiSchema)member.Schema), AdditionalPropertiesAllowed = false };
    }
}
