using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace CaptionService.Api.Models;

/// <summary>The body of <c>POST /models</c>: code reads it as a stream, so this says what it is.</summary>
internal sealed class ModelUploadOperation : IOperationFilter
{
    public void Apply(OpenApiOperation operation, OperationFilterContext context)
    {
        if (operation.OperationId != ModelsApi.UploadName)
        {
            return;
        }
        operation.RequestBody = new OpenApiRequestBody
        {
            Required = true,
            Description = "The zip, as the body or as the file of a form.",
            Content = new Dictionary<string, IOpenApiMediaType>
            {
                ["application/zip"] = new OpenApiMediaType { Schema = Binary() },
                ["multipart/form-data"] = new OpenApiMediaType
                {
                    Schema = new OpenApiSchema
                    {
                        Type = JsonSchemaType.Object,
                        Required = new HashSet<string> { "bundle" },
                        Properties = new Dictionary<string, IOpenApiSchema> { ["bundle"] = Binary() },
                    },
                },
            },
        };
    }

    private static OpenApiSchema Binary() => new() { Type = JsonSchemaType.String, Format = "binary" };
}
